"""What the steps ask of the catalog beside its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.catalog import AssetEntry, AssetStatus, ColumnDoc, Registered


class Catalog(Protocol):
    """The catalog as a whole."""

    def register_all(self, entries: Iterable[AssetEntry]) -> Registered:
        """Lay entries over the catalog; what says nothing new costs next to nothing."""


class Curation(Protocol):
    """What people say and decide about assets; the caller holds a transaction."""

    def describe(
        self, name: str, said: Mapping[str, Any], *, columns: Sequence[ColumnDoc] = ()
    ) -> dict[str, Any]:
        """Lay what a person says over an asset; returns what changed, as before and after.

        :param said: fields; ``None`` takes back what a person said.
        :raises SpecError: the declaration says something else.
        """

    def tag(
        self, name: str, *, add: Sequence[str], remove: Sequence[str], what: str, column: str | None
    ) -> dict[str, Any]:
        """Add and remove tags or terms of an asset or of one of its columns; returns what changed."""

    def set_status(self, name: str, status: AssetStatus) -> dict[str, Any]:
        """Hide an asset or bring it back; returns what changed, nothing where it is so already."""

    def merge(self, name: str, *, into: str) -> dict[str, Any]:
        """Make two assets one; returns what changed, nothing where they are already.

        :raises SpecError: the one that shall go has versions of its own that readers see.
        """
