"""Datasets as facts: columns, parts, fingerprints and versions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_dataml.core.errors import SpecError, StaleVersionError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

WriteMode = Literal["append", "replace", "partition", "merge"]
WRITE_MODES: tuple[WriteMode, ...] = ("append", "replace", "partition", "merge")
PartRole = Literal["batch", "rewrite", "compacted", "adopted", "snapshot"]
CURRENT = "current"
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

    :param algorithm: how a row was hashed; sums over several algorithms equal nothing but themselves.

    >>> Fingerprint(1, 5, 5) + Fingerprint(1, 5, 5)
    Fingerprint(rows=2, xor=0, total=10, algorithm='pg2')
    """

    rows: int = 0
    xor: int = 0
    total: int = 0
    algorithm: str = "pg2"

    def __add__(self, other: Fingerprint) -> Fingerprint:
        if not self.rows or not other.rows:
            return self if self.rows else other
        return Fingerprint(
            self.rows + other.rows,
            self.xor ^ other.xor,
            (self.total + other.total) % _MODULUS,
            self.algorithm if self.algorithm == other.algorithm else "mixed",
        )

    @property
    def text(self) -> str:
        """The fingerprint as one word, at most 36 characters."""
        payload = f"{self.rows}:{self.xor % _MODULUS:016x}:{self.total:016x}"
        return f"{self.algorithm}-" + hashlib.sha256(payload.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Part:
    """An immutable physical piece of a dataset version.

    :param locator: where its rows are: a Postgres table, or a file of a Delta table.
    :param parent_id: the version a merge was computed on.
    :param replaces: parts of that version which this one stands for, with what it rewrote.
    :param state: ``live``, or ``dropped`` by retention, or ``released`` to its owner.
    """

    part_id: int
    asset: str
    locator: str
    columns: tuple[Column, ...]
    fingerprint: Fingerprint
    partition_key: str | None = None
    profile: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()
    store: str = "postgres"
    role: PartRole = "batch"
    state: str = "live"
    bytes: int | None = None
    parent_id: int | None = None
    replaces: tuple[int, ...] = ()

    @property
    def relation(self) -> Relation:
        """The part's table; for parts that Postgres keeps."""
        return Relation.parse(self.locator)

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
    """What a stage step hands to verification and publication; small enough for XCom.

    :param keys: the columns a merge matched rows by.
    :param parent_id: the version a merge was computed on; publication refuses any other.
    :param rewrites: parts that stand for those of ``removes``, without the rows the merge touched.
    :param removes: parts of the parent that the merge touched.
    :param branch: the branch the batch is for; ``None`` is what everybody reads.
    :param origins: files and tables of others its rows came from, as OpenLineage names them.
    """

    part_id: int
    asset: str
    relation: str
    rows: int
    fingerprint: str
    mode: WriteMode
    partition_key: str | None = None
    inputs: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()
    parent_id: int | None = None
    rewrites: tuple[int, ...] = ()
    removes: tuple[int, ...] = ()
    branch: str | None = None
    origins: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        lists = {name: list(getattr(self, name)) for name in _TUPLES}
        return asdict(self) | lists | {"origins": [list(origin) for origin in self.origins]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; anything else is refused."""
        try:
            origins = tuple((str(namespace), str(name)) for namespace, name in data.get("origins", ()))
            tuples = {name: tuple(data.get(name, ())) for name in _TUPLES}
            return cls(**(data | tuples | {"origins": origins}))
        except (TypeError, KeyError, ValueError, AttributeError) as err:
            msg = f"a staged part was expected from the stage task, received {data!r}."
            raise SpecError(msg) from err


_TUPLES = ("inputs", "keys", "rewrites", "removes")


def schema_hash(columns: tuple[Column, ...]) -> str:
    """Content address of a schema: names and types in order.

    >>> schema_hash((Column("a", "integer"),))[:8]
    '99974728'
    """
    payload = json.dumps([[c.name, c.type] for c in columns])
    return hashlib.sha256(payload.encode()).hexdigest()[:32]


def next_manifest(
    current: Sequence[Part], new: Part, *, mode: WriteMode, merge: Merge | None = None
) -> tuple[Part, ...]:
    """The parts of the version that publishing ``new`` makes.

    ``append`` shares every part of the parent, ``replace`` starts afresh, ``partition`` drops the
    parent's parts of the same partition key, ``merge`` puts a rewritten part wherever one held a
    touched key. A part without rows is left out, unless nothing else would be left.
    """
    if mode == "append":
        parts: tuple[Part, ...] = (*current, new)
    elif mode == "replace":
        parts = (new,)
    elif mode == "merge":
        parts = (*_merged(current, merge or Merge()), new)
    elif new.partition_key is None:
        msg = (
            "mode='partition' needs a partition key and the run has none: trigger the DAG with a "
            "partition key, or publish with mode='append' or 'replace'."
        )
        raise SpecError(msg)
    else:
        parts = (*(p for p in current if p.partition_key != new.partition_key), new)
    return tuple(p for p in parts if p.rows) or (new,)


@dataclass(frozen=True, slots=True)
class Merge:
    """What a merge does to the parts of its parent.

    :param removes: parts that hold a touched key.
    :param rewrites: their successors without the touched rows; none for a part that would be empty.
    """

    removes: tuple[int, ...] = ()
    rewrites: tuple[Part, ...] = ()


def _merged(current: Sequence[Part], merge: Merge) -> list[Part]:
    if lost := set(merge.removes) - {p.part_id for p in current}:
        msg = f"the merge rewrote parts {sorted(lost)}, which are no longer in the current version: stage the batch again."
        raise StaleVersionError(msg)
    successors = {old: part for part in merge.rewrites for old in part.replaces}
    kept = [successors.get(p.part_id) if p.part_id in merge.removes else p for p in current]
    return [p for p in kept if p is not None]
