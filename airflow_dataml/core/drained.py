"""What a drain of lineage events came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_dataml.core.delivery import Tally


@dataclass(slots=True)
class Drained:
    """What drainers did since they were asked last.

    :param unreachable: backends that take nothing now, and why.
    """

    spooled: int = 0
    projected: int = 0
    fanned: int = 0
    delivered: dict[str, int] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    dead: dict[str, list[int]] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)

    def add(self, backend: str, tally: Tally) -> None:
        """Count one batch."""
        self.delivered[backend] = self.delivered.get(backend, 0) + tally.delivered
        if tally.retried:
            self.retried[backend] = self.retried.get(backend, 0) + tally.retried
        if tally.dead:
            self.dead.setdefault(backend, []).extend(tally.dead)
        if tally.unreachable:
            self.unreachable[backend] = tally.unreachable
        elif tally.delivered:
            self.unreachable.pop(backend, None)

    def plus(self, later: Drained) -> Drained:
        """Join with what was done after; a backend is unreachable when it was so last."""
        return Drained(
            self.spooled + later.spooled,
            self.projected + later.projected,
            self.fanned + later.fanned,
            _added(self.delivered, later.delivered),
            _added(self.retried, later.retried),
            {
                name: self.dead.get(name, []) + later.dead.get(name, [])
                for name in {**self.dead, **later.dead}
            },
            dict(later.unreachable),
        )

    @property
    def moved(self) -> int:
        """How many steps forward events made; ``0`` when there is nothing to do now."""
        return self.spooled + self.projected + self.fanned + sum(self.delivered.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {name: getattr(self, name) for name in type(self).__slots__}


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}
