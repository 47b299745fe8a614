"""Optional packages, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from airflow_dataml.core.errors import MissingExtraError


def load(module: str, *, extra: str) -> Any:
    """Import an optional module, or name the extra that brings it.

    >>> load("json", extra="monitoring").dumps([1])
    '[1]'

    :raises MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        raise MissingExtraError(extra, err.name or module) from err
