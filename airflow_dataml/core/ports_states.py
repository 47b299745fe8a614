"""The port through which verification keeps what an engine measured of parts, and of segments of other tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class States(Protocol):
    """Measurements of parts. They may be thrown away at any time: what is missing is measured again."""

    def get(self, part_ids: Sequence[int], *, engine: str, plan: str) -> dict[int, dict[str, Any]]:
        """Return what is kept of some parts, by part."""

    def put(self, part_id: int, *, engine: str, plan: str, state: Mapping[str, Any]) -> None:
        """Keep what was measured of a part, in place of what was kept before."""

    def segments(self, table: str, *, engine: str, plan: str) -> dict[int, dict[str, Any]]:
        """Return what is kept of the segments of a table nobody publishes here, by number.

        :param table: whatever names it among all tables in the catalog.
        """

    def put_segments(
        self, table: str, *, engine: str, plan: str, states: Mapping[int, Mapping[str, Any]], total: int
    ) -> None:
        """Keep what was measured of some segments, and forget those beyond the table's end.

        :param total: segments the table has.
        """
