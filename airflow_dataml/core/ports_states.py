"""The port through which verification keeps what an engine measured of single parts."""

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
