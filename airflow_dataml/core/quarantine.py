"""Quarantine: rows of a batch that were set aside, and how much of a batch may be; pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.core.contract_extension import Quarantine

QuarantineState = Literal["open", "replayed", "discarded"]
QUARANTINE_STATES: tuple[QuarantineState, ...] = ("open", "replayed", "discarded")
# The column that says which checks a quarantined row broke.
REASONS = "_reasons"


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """What a duplicate check compares.

    :param names: the columns as the contract calls them.
    :param expressions: SQL of the values, one per name.
    :param condition: SQL of the rows it looks at; all where there is none.
    """

    names: tuple[str, ...]
    expressions: tuple[str, ...]
    condition: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A few rows that broke a check, values as text.

    :param columns: their columns; of duplicates the key's, and ``rows`` says how often each is there.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows of one batch that were set aside.

    :param part_id: the batch they came with, whole.
    :param rest_id: the part that holds the batch's other rows.
    :param fact: the check that set them aside.
    :param relation: the table that holds them: the batch's columns, and ``_reasons``.
    :param tested: rows of the batch.
    :param reasons: check -> rows that broke it; a row may break several.
    :param branch: the branch the batch was for.
    :param report_id: the report that found them.
    :param version: what brought them back.
    :param note: why they were discarded.
    """

    quarantine_id: int
    asset: str
    part_id: int
    rest_id: int
    fact: str
    relation: str
    rows: int
    tested: int
    reasons: dict[str, int]
    state: QuarantineState
    created_at: datetime
    partition_key: str | None = None
    branch: str | None = None
    report_id: int | None = None
    closed_at: datetime | None = None
    version: str | None = None
    note: str | None = None

    @property
    def sentence(self) -> str:
        """What happened, in a few words."""
        return aside_sentence(self.asset, self.partition_key or f"part {self.part_id}", self.rows)

    @property
    def whereabouts(self) -> str:
        """What became of the rows."""
        if self.state == "replayed":
            return f"was replayed as {self.version}"
        return f"was discarded: {self.note}" if self.state == "discarded" else "is open"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {
            "created_at": self.created_at.isoformat(),
            "closed_at": self.closed_at.isoformat() if self.closed_at else None,
        }


@dataclass(frozen=True, slots=True)
class SetAside:
    """What came of the attempt to set rows aside.

    :param refused: why none were; then nothing else is said.
    :param rest_id: the part that holds the other rows.
    :param mask: columns whose values the contract lets nobody see.
    """

    refused: str = ""
    relation: str = ""
    rows: int = 0
    tested: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    severity: str = "low"
    rest_id: int = 0
    mask: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as it stands in the report."""
        return {"refused": self.refused} if self.refused else asdict(self) | {"mask": list(self.mask)}


def aside_sentence(asset: str, batch: str, rows: int) -> str:
    """Say how many rows were set aside.

    >>> aside_sentence("flights", "2013-10", 37)
    '37 rows of flights 2013-10 were set aside'
    """
    return f"{rows:,} {'row' if rows == 1 else 'rows'} of {asset} {batch} {'was' if rows == 1 else 'were'} set aside"


def refusal(limits: Quarantine, bad: int, tested: int, *, replay: bool = False) -> str | None:
    """Return why so many rows may not be set aside; ``None`` where they may.

    :param bad: rows at fault.
    :param tested: rows of the batch.
    :param replay: the batch is of rows that were set aside before, so a large share of it may be again.
    """
    if not bad:
        return "no row of this batch is at fault, so the fault is in rows that were published before"
    if bad >= tested:
        return f"all {tested:,} rows are at fault"
    if replay:
        return None
    if bad > limits.cap:
        return (
            f"{bad:,} rows are at fault, and the contract lets {limits.cap:,} be set aside (quarantine.cap)"
        )
    if bad > limits.max_fraction * tested:
        share, most = bad / tested, limits.max_fraction
        return f"{bad:,} of {tested:,} rows ({share:.2%}) are at fault, and the contract lets {most:.2%} be set aside (quarantine.max_fraction)"
    return None


def severity(limits: Quarantine, bad: int, tested: int) -> Literal["low", "medium"]:
    """Return how serious it is: medium once half of what the contract allows is used.

    >>> from airflow_dataml.core.contract_extension import Quarantine
    >>> severity(Quarantine(), 1, 1000), severity(Quarantine(), 8, 1000)
    ('low', 'medium')
    """
    used = max(bad / limits.cap, bad / (limits.max_fraction * tested))
    return "medium" if used > 0.5 else "low"
