"""Nouns: values, errors, policies and statistics; pure Python."""
