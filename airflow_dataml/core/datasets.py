"""Datasets as facts: columns, parts, fingerprints and versions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.core.refs import Relation

WriteMode = Literal["append", "replace", "partition"]
WRITE_MODES: tuple[WriteMode, ...] = ("append", "replace", "partition")
_MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name and its Postgres type as ``format_type`` writes it."""

    name: str
    type: str

    @property
    def numeric(self) -> bool:
        """Whether arithmetic and a histogram make sense."""
        return self.type.split("(")[0] in {
            "smallint", "integer", "bigint", "real", "double precision", "numeric",
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Content of a set of rows, whatever their order.

    Row count, xor and sum of each row's 64-bit hash: adding two disjoint sets adds their
    fingerprints, so a version's follows from its parts' without reading a row. The xor alone
    would not see a pair of equal rows; the sum does.

    >>> Fingerprint(1, 5, 5) + Fingerprint(1, 5, 5)
    Fingerprint(rows=2, xor=0, total=10)
    """

    rows: int = 0
    xor: int = 0
    total: int = 0

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(
            self.rows + other.rows, self.xor ^ other.xor, (self.total + other.total) % _MODULUS
        )

    @property
    def text(self) -> str:
        """The fingerprint as one word, at most 36 characters."""
        payload = f"{self.rows}:{self.xor % _MODULUS:016x}:{self.total:016x}"
        return "pg1-" + hashlib.sha256(payload.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Part:
    """An immutable physical piece of a dataset version."""

    part_id: int
    asset: str
    relation: Relation
    columns: tuple[Column, ...]
    fingerprint: Fingerprint
    partition_key: str | None = None
    profile: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the part holds."""
        return self.fingerprint.rows


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable, numbered state of an asset, as the ledger holds it."""

    version_id: int
    asset: str
    kind: str
    number: int
    fact_key: str
    rows: int | None
    fingerprint: str | None
    schema_hash: str | None
    partition_key: str | None
    created_at: datetime
    facts: dict[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> str:
        """The version as people write it."""
        return f"{self.asset}@{self.number}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"created_at": self.created_at.isoformat(), "ref": self.ref}


@dataclass(frozen=True, slots=True)
class StagedPart:
    """What a stage step hands to verification and publication; small enough for XCom."""

    part_id: int
    asset: str
    relation: str
    rows: int
    fingerprint: str
    mode: WriteMode
    partition_key: str | None = None
    inputs: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"inputs": list(self.inputs)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; anything else is refused."""
        try:
            return cls(**(data | {"inputs": tuple(data["inputs"])}))
        except (TypeError, KeyError) as err:
            msg = f"a staged part was expected from the stage task, received {data!r}."
            raise SpecError(msg) from err


def schema_hash(columns: tuple[Column, ...]) -> str:
    """Content address of a schema: names and types in order.

    >>> schema_hash((Column("a", "integer"),))[:8]
    '99974728'
    """
    payload = json.dumps([[c.name, c.type] for c in columns])
    return hashlib.sha256(payload.encode()).hexdigest()[:32]


def next_manifest(current: tuple[Part, ...], new: Part, *, mode: WriteMode) -> tuple[Part, ...]:
    """The parts of the version that publishing ``new`` makes.

    ``append`` shares every part of the parent, ``replace`` starts afresh, ``partition`` drops
    the parent's parts of the same partition key.
    """
    if mode == "append":
        return (*current, new)
    if mode == "replace":
        return (new,)
    if new.partition_key is None:
        msg = (
            "mode='partition' needs a partition key and the run has none: trigger the DAG with a "
            "partition key, or publish with mode='append' or 'replace'."
        )
        raise SpecError(msg)
    return (*(p for p in current if p.partition_key != new.partition_key), new)
