"""Schemas over time: what changed, how bad that is, and what a dataset looks like afterwards."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.datasets import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPE = re.compile(
    r"(?P<base>[a-z0-9_ ]+?)\s*(?:\((?P<sizes>[\d, ]+)\))?(?P<tail>[a-z ]*)(?P<array>(?:\[\])*)\Z"
)
_SYNONYMS = {
    "bool": "boolean", "bpchar": "character", "char": "character", "decimal": "numeric",
    "float": "double precision", "float4": "real", "float8": "double precision", "int": "integer",
    "int2": "smallint", "int4": "integer", "int8": "bigint", "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone", "timetz": "time with time zone",
    "time": "time without time zone", "varchar": "character varying",
}  # fmt: skip
# Each type may become any later one of its row. Within a row equal values hash equally in PostgreSQL,
# so a widened column leaves fingerprints as they were; integer to numeric would not.
_LADDERS = (
    ("smallint", "integer", "bigint"),
    ("real", "double precision"),
    ("character varying", "text"),
    ("json",),
)


class ChangeClass(StrEnum):
    """How a change treats whoever reads the dataset, from harmless to harmful."""

    ADDITIVE = "additive"
    COMPATIBLE = "compatible"
    BREAKING = "breaking"

    @classmethod
    def worst(cls, classes: Sequence[ChangeClass]) -> ChangeClass:
        """Return the most harmful one; no change at all is additive."""
        return max(classes, key=list(cls).index, default=cls.ADDITIVE)


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column that is not what it was."""

    column: str
    kind: Literal["added", "removed", "retyped", "moved"]
    change: ChangeClass
    old: str | None = None
    new: str | None = None

    @property
    def sentence(self) -> str:
        """The change in words.

        >>> ColumnChange("km", "retyped", ChangeClass.COMPATIBLE, "real", "double precision").sentence
        'km was real and is double precision'
        """
        if self.kind == "added":
            return f"{self.column} {self.new} is new"
        if self.kind == "removed":
            return f"{self.column} {self.old} is gone"
        if self.kind == "moved":
            return f"{self.column} stands elsewhere"
        return f"{self.column} was {self.old} and is {self.new}"


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """Everything that changed between two schemas."""

    changes: tuple[ColumnChange, ...]

    @property
    def change(self) -> ChangeClass:
        """The worst of the changes."""
        return ChangeClass.worst([c.change for c in self.changes])

    @property
    def breaking(self) -> tuple[ColumnChange, ...]:
        """The changes readers do not survive."""
        return tuple(c for c in self.changes if c.change is ChangeClass.BREAKING)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        changes = [asdict(c) | {"change": c.change.value, "sentence": c.sentence} for c in self.changes]
        return {"class": self.change.value if changes else None, "changes": changes}


def diff_schemas(old: Sequence[Column], new: Sequence[Column]) -> SchemaDiff:
    """Compare two schemas by column name.

    A new column is additive, a wider type and another order are compatible, anything else breaks readers.

    >>> diff_schemas([Column("a", "integer")], [Column("a", "bigint"), Column("b", "text")]).change.value
    'compatible'
    >>> [c.sentence for c in diff_schemas([Column("a", "bigint")], [Column("a", "integer")]).breaking]
    ['a was bigint and is integer']
    """
    before, after = {c.name: c.type for c in old}, {c.name: c.type for c in new}
    changes = []
    for name, type_ in before.items():
        if name not in after:
            changes.append(ColumnChange(name, "removed", ChangeClass.BREAKING, type_))
        elif normal_type(type_) != normal_type(after[name]):
            change = ChangeClass.COMPATIBLE if widens(type_, after[name]) else ChangeClass.BREAKING
            changes.append(ColumnChange(name, "retyped", change, type_, after[name]))
    added = [n for n in after if n not in before]
    changes += [ColumnChange(n, "added", ChangeClass.ADDITIVE, None, after[n]) for n in added]
    shared = [n for n in before if n in after]
    order = [n for n in after if n in before]
    changes += [
        ColumnChange(now, "moved", ChangeClass.COMPATIBLE)
        for was, now in zip(shared, order, strict=True)
        if was != now
    ]
    return SchemaDiff(tuple(changes))


def evolve(current: Sequence[Column], batch: Sequence[Column]) -> tuple[Column, ...]:
    """Return the schema readers see once a batch has joined: the batch's, in the order they know.

    Of two types the wider one is kept, so that a narrower batch does not narrow the dataset.

    >>> evolve([Column("a", "bigint")], [Column("b", "text"), Column("a", "integer")])
    (Column(name='a', type='bigint'), Column(name='b', type='text'))
    """
    types, new = {c.name: c.type for c in current}, {c.name: c.type for c in batch}
    kept = [Column(n, t if widens(new[n], t) else new[n]) for n, t in types.items() if n in new]
    return (*kept, *(Column(n, t) for n, t in new.items() if n not in types))


def widens(old: str, new: str) -> bool:
    """Whether every value of one Postgres type is an equal value of another.

    >>> widens("integer", "int8"), widens("numeric(10,2)", "numeric(12,2)"), widens("integer", "numeric")
    (True, True, False)
    >>> widens("varchar(10)", "text"), widens("varchar(10)", "varchar(9)"), widens("text", "text")
    (True, False, True)
    """
    (base, sizes, array), (wider, room, array_too) = normal_type(old), normal_type(new)
    if array != array_too:
        return False
    if base == wider == "numeric":
        return not room or (bool(sizes) and _fits(sizes, room))
    if base == wider:
        return not room or (bool(sizes) and len(sizes) == len(room) and sizes[0] <= room[0])
    return any(base in ladder and wider in ladder[ladder.index(base) :] and not room for ladder in _LADDERS)


@lru_cache(maxsize=1024)
def normal_type(text: str) -> tuple[str, tuple[int, ...], str]:
    """Split a Postgres type into its full name, its sizes and its array brackets.

    >>> normal_type("varchar(10)"), normal_type("timestamptz"), normal_type("int[]")
    (('character varying', (10,), ''), ('timestamp with time zone', (), ''), ('integer', (), '[]'))
    """
    plain = " ".join(text.lower().split())
    found = _TYPE.match(plain)
    if found is None:
        return plain, (), ""
    base = f"{found['base']}{found['tail']}".strip()
    sizes = tuple(int(size) for size in (found["sizes"] or "").split(",") if size.strip())
    return _SYNONYMS.get(base, base), sizes, found["array"]


def _fits(sizes: tuple[int, ...], room: tuple[int, ...]) -> bool:
    """Whether numeric(p, s) fits: as many digits before the point and after it."""
    (digits, scale), (more, finer) = (*sizes, 0)[:2], (*room, 0)[:2]
    return finer >= scale and more - finer >= digits - scale
