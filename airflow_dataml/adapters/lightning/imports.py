"""Importing what a spec names; this runs the user's file."""

from __future__ import annotations

import importlib

from airflow_dataml.core.errors import TrainingSpecError

# What a mistake in a file raises while it is imported. A disk that fails, or memory that is short, is none of these:
# there another try may help.
_MISTAKES = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
)


def import_named(import_path: str, *, said: str) -> object:
    """Return what an import path ``package.module:Name`` names.

    :param said: what it is, for the refusal.
    :raises TrainingSpecError: it is not there, or its file has a mistake.
    """
    path, _, name = import_path.partition(":")
    try:
        return getattr(importlib.import_module(path), name)
    except _MISTAKES as err:
        msg = f"{said} cannot be imported: {type(err).__name__}: {err}"
        raise TrainingSpecError(msg) from err
