"""The differences between two contracts, as facts and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from airflow_dataml.core.contract_compare import Direction
from airflow_dataml.core.schemas import ChangeClass

Side = Literal["consumers", "producers", "both"]
ADDITIVE, COMPATIBLE, BREAKING = ChangeClass.ADDITIVE, ChangeClass.COMPATIBLE, ChangeClass.BREAKING
_JUDGED: dict[Direction, tuple[ChangeClass, ChangeClass, str]] = {
    Direction.LOOSER: (BREAKING, COMPATIBLE, "readers may meet what they were promised not to"),
    Direction.TIGHTER: (COMPATIBLE, BREAKING, "data that held the old contract may be refused"),
    Direction.OTHER: (BREAKING, BREAKING, "neither form implies the other"),
    Direction.OPENER: (COMPATIBLE, COMPATIBLE, "readers find columns by name"),
    Direction.SOFT: (COMPATIBLE, COMPATIBLE, "it warns and refuses nothing"),
    Direction.WORDS: (COMPATIBLE, COMPATIBLE, "the same data passes"),
}


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One difference between two contracts.

    :param place: where it is, as ``columns.km.checks.missing``.
    :param consumers: what it means to whoever reads the dataset.
    :param producers: what it means to whoever writes it.
    """

    place: str
    what: str
    consumers: ChangeClass
    producers: ChangeClass
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "place": self.place,
            "what": self.what,
            "consumers": self.consumers.value,
            "producers": self.producers.value,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class ContractDiff:
    """Everything that changed between two contracts of one dataset."""

    old: str
    new: str
    changes: tuple[ContractChange, ...]

    def worst(self, side: Side = "both") -> ChangeClass | None:
        """The worst change for a side; ``None`` when nothing changed."""
        classes = [
            getattr(change, one)
            for change in self.changes
            for one in (("consumers", "producers") if side == "both" else (side,))
        ]
        return ChangeClass.worst(classes) if classes else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "old": self.old,
            "new": self.new,
            "consumers": self._word("consumers"),
            "producers": self._word("producers"),
            "changes": [c.to_dict() for c in self.changes],
        }

    def markdown(self) -> str:
        """The changes as a table for a pull request."""
        if not self.changes:
            return f"**{_cell(self.new)}** promises what it did.\n"
        head = (
            f"**{_cell(self.new)}**: {self._word('consumers')} for consumers, "
            f"{self._word('producers')} for producers.\n\n"
            "| Where | What | Consumers | Producers | Why |\n|---|---|---|---|---|\n"
        )
        rows = (
            [f"`{c.place}`", c.what, _strong(c.consumers), _strong(c.producers), c.why] for c in self.changes
        )
        return head + "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)

    def _word(self, side: Side) -> str | None:
        worst = self.worst(side)
        return worst.value if worst is not None else None


def change_of(place: str, what: str, direction: Direction, why: str = "") -> ContractChange:
    """Build a change from the way a promise moved."""
    consumers, producers, reason = _JUDGED[direction]
    return ContractChange(place, what, consumers, producers, why or reason)


def _strong(change: ChangeClass) -> str:
    return f"**{change.value}**" if change is BREAKING else change.value


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
