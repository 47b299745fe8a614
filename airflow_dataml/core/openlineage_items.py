"""The items of an event: texts, objects, lists and names, each with words where it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets_naming import LineageNaming
from airflow_dataml.core.openlineage import DatasetName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMING = LineageNaming()
# What an index of the ledger has room for.
MOST_BYTES = {"namespace": 900, "name": 1200, "runId": 250, "field": 400}


class Items:
    """One event while it is read; what cannot be used is kept as ``problems``.

    :raises SpecError: it is no object.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        if not isinstance(event, dict):
            msg = f"an OpenLineage event is an object, received {type(event).__name__}."
            raise SpecError(msg)
        self._event = event
        self.problems: list[str] = []

    def text(self, item: Mapping[str, Any], key: str, what: str) -> str:
        """Return a text that names something.

        :raises SpecError: it is missing, empty, too long, or holds what PostgreSQL has no place for.
        """
        value = item.get(key)
        if not isinstance(value, str) or not value:
            msg = f"{what} has no {key}" if value in (None, "") else f"{what}.{key} {value!r} is no text"
            raise SpecError(msg)
        if not value.isascii() or "\x00" in value:
            self._storable(value, f"{what}.{key}")
        if len(value) > MOST_BYTES[key] // 4 and len(value.encode()) > MOST_BYTES[key]:
            msg = f"{what}.{key} is {len(value.encode())} bytes long; {MOST_BYTES[key]} are the most"
            raise SpecError(msg)
        return value

    @staticmethod
    def _storable(value: str, what: str) -> None:
        if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            msg = f"{what} {value!r} holds a character PostgreSQL has no place for"
            raise SpecError(msg)

    def _object(self, item: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Return an object inside; what is none is empty and a problem."""
        value = item.get(key)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.problems.append(f"{key} is {type(value).__name__}, not an object: left out")
        return {}

    def _list(self, item: Mapping[str, Any], key: str, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the objects of a list, each with what to call it."""
        value = item.get(key)
        if value is not None and not isinstance(value, list):
            self.problems.append(f"{what}{key} is {type(value).__name__}, not a list: left out")
            return
        for at, one in enumerate(value or ()):
            if isinstance(one, dict):
                yield f"{what}{key}[{at}]", one
            else:
                self.problems.append(f"{what}{key}[{at}] is {type(one).__name__}, not an object: left out")

    def name(self, item: Mapping[str, Any], what: str) -> DatasetName | None:
        """Return what a dataset is called; ``None`` and a problem where it is not called anything."""
        try:
            namespace = _NAMING.lineage_canonical(self.text(item, "namespace", what))
            return DatasetName(namespace, self.text(item, "name", what))
        except SpecError as err:
            self.problems.append(f"{err}: left out")
            return None
