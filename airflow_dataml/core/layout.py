"""Layout: how a dataset's rows are kept and presented, whatever its versions hold."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.refs import AssetNaming, Relation, check_identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic_core import ErrorDetails

Method = Literal["btree", "hash", "gin", "gist", "spgist", "brin"]
Privilege = Literal["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]
_KEY = "layout"


class _Authored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as err:
            what = type(self).__name__
            problems = "; ".join(_explain(detail) for detail in err.errors(include_url=False))
            msg = f"{what.lower()} is not usable: {problems}. {what} takes {', '.join(type(self).model_fields)}."
            raise SpecError(msg) from err


class Index(_Authored):
    """An index that every part of a dataset gets before it is published.

    :param columns: the columns it is over, in order.
    :param unique: refuse equal rows within one part; other parts are not looked at.
    :param where: SQL condition of the rows it holds; all of them unless given.
    :param definition: the index from ``USING`` on, as PostgreSQL writes it, for what columns and method
        do not say (an expression, an order, an operator class). ``columns`` are then those it reads.
    """

    columns: tuple[str, ...] = Field(min_length=1, strict=False)
    unique: bool = False
    method: Method = "btree"
    where: str | None = Field(default=None, min_length=1)
    definition: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _check_columns(self.columns)
        if self.definition is not None:
            if self.where is not None or self.method != "btree" or not self.definition.startswith("USING "):
                msg = "'definition' begins with USING and says method and condition itself; leave out 'method' and 'where'"
                raise ValueError(msg)
        elif self.unique and self.method != "btree":
            msg = f"a {self.method} index cannot be unique; use method='btree'"
            raise ValueError(msg)
        elif self.method in ("hash", "spgist") and len(self.columns) > 1:
            msg = f"a {self.method} index is over one column, received {list(self.columns)}"
            raise ValueError(msg)
        return self

    def name_on(self, relation: Relation) -> str:
        """Return the name this index has on a part; no other part has one of that name."""
        digest = hashlib.sha256(f"{relation}/{self.model_dump_json()}".encode()).hexdigest()[:12]
        return AssetNaming().fit(relation.name, f"_{digest}_idx")


class Grant(_Authored):
    """What a role may do with a dataset.

    :param role: a database role; ``PUBLIC`` is everybody.
    :param privileges: what it may do. Only ``SELECT`` has an effect: rows are written by batches.
    :param grantable: whether the role may pass it on.
    """

    role: str
    privileges: tuple[Privilege, ...] = Field(default=("SELECT",), min_length=1, strict=False)
    grantable: bool = False

    @field_validator("role")
    @classmethod
    def _usable_role(cls, role: str) -> str:
        return check_identifier(role, what="role")


class Layout(_Authored):
    """How a dataset is kept and presented.

    :param keys: the logical key, by which merges and diffs match rows; each part gets a unique index over it.
    :param defaults: column -> SQL expression for batches that lack the column, such as ``now()``.
    :param comment: comment of the view.
    :param grants: privileges that every publication makes sure of; what is granted by hand stays as well.
    :param partition_column: the column whose value is the partition key.
    """

    indexes: tuple[Index, ...] = Field(default=(), strict=False)
    keys: tuple[str, ...] = Field(default=(), strict=False)
    defaults: dict[str, str] = Field(default_factory=dict)
    comment: str | None = None
    column_comments: dict[str, str] = Field(default_factory=dict)
    grants: tuple[Grant, ...] = Field(default=(), strict=False)
    partition_column: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_columns(self.keys)
        for name in (*self.defaults, *self.column_comments, *filter(None, [self.partition_column])):
            check_identifier(name, what="column")
        if blank := [name for name, sql in self.defaults.items() if not sql.strip()]:
            msg = f"the default of {blank} is empty; write an SQL expression such as 0 or now(), or leave the column out"
            raise ValueError(msg)
        if len(set(self.indexes)) != len(self.indexes):
            msg = "the same index is listed twice; list each once"
            raise ValueError(msg)
        return self

    @classmethod
    def from_location(cls, location: Mapping[str, Any]) -> Self:
        """Read the layout kept among the facts of an asset; without one, the empty layout."""
        values = location.get(_KEY) or {}
        if not isinstance(values, dict):
            msg = f"the ledger keeps {values!r} as a layout; declare the dataset's layout anew."
            raise SpecError(msg)
        return cls(**values)

    def to_location(self) -> dict[str, Any]:
        """The layout as a fact of an asset, as ``from_location`` reads it."""
        return {_KEY: self.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what was not said is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def part_indexes(self) -> tuple[Index, ...]:
        """The indexes of a part: those declared, and a unique one over the keys."""
        own = any(index.unique and index.columns == self.keys and not index.where for index in self.indexes)
        return (
            self.indexes if own or not self.keys else (*self.indexes, Index(columns=self.keys, unique=True))
        )

    def check(self, columns: Collection[str]) -> Self:
        """Return the layout, or refuse one that names a column which is not among these.

        :raises SpecError: with the closest names.
        """
        for use, name in self._named():
            if name not in columns:
                what = f"the layout's {use} names a column:"
                raise SpecError(str(NotFoundError.from_available(what, name, columns)))
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        uses: dict[str, Collection[str]] = {
            "keys": self.keys,
            "defaults": self.defaults,
            "column_comments": self.column_comments,
            "partition_column": [self.partition_column] if self.partition_column else [],
            "indexes": [name for index in self.indexes for name in index.columns],
        }
        return ((use, name) for use, names in uses.items() for name in names)


def _check_columns(names: tuple[str, ...]) -> None:
    for name in names:
        check_identifier(name, what="column")
    if len(set(names)) != len(names):
        msg = f"columns {list(names)} name one twice; name each once"
        raise ValueError(msg)


def _explain(detail: ErrorDetails) -> str:
    place = ".".join(map(str, detail["loc"]))
    text = detail["msg"].removeprefix("Value error, ").rstrip(".")
    received = "" if detail["type"] in ("value_error", "missing") else f" (received {detail['input']!r})"
    return f"{place}: {text}{received}" if place else f"{text}{received}"
