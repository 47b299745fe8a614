"""Vendors: one folder each, none imports another."""
