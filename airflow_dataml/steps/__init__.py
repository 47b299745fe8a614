"""Verbs: the use cases, written against ports."""
