"""The port through which a rollback asks where a pointer stood before, and since when rows are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Pointers(Protocol):
    """The past of aliases and of parts."""

    def moves(self, asset: str, alias: str) -> list[int | None]:
        """Return ids of the versions an alias was pointed at, oldest first; ``None`` where it was removed."""

    def gone_since(self, part_ids: Sequence[int]) -> datetime | None:
        """Return when the first of some parts lost its rows; ``None`` where all are live."""
