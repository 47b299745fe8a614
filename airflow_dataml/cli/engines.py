"""Quality engines by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from airflow_dataml.core.quality import QualityEngine

ENGINES = ("auto", "native", "soda")
_NATIVE = "airflow_dataml.adapters.native"


def engine_named(name: str) -> QualityEngine:
    """Return an engine; ``auto`` is the native one where this release has it, else soda.

    :raises SpecError: there is no engine of that name.
    """
    if name not in ENGINES or (name == "native" and not _has_native()):
        known = ", ".join(one for one in ENGINES if one != "native" or _has_native())
        msg = f"there is no quality engine {name!r}; known: {known}."
        raise SpecError(msg)
    if name == "native" or (name == "auto" and _has_native()):
        engine: QualityEngine = importlib.import_module(_NATIVE).NativeEngine()
        return engine
    from airflow_dataml.adapters.soda import SodaEngine

    return SodaEngine()


def _has_native() -> bool:
    return importlib.util.find_spec(_NATIVE) is not None
