"""Crawls as values: which tables are looked at, what is found, and which entry of the catalog that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator

from airflow_dataml.core.catalog import AssetEntry, ColumnDoc, Registered
from airflow_dataml.core.catalog_names import NAMING
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from airflow_dataml.core.datasets import Column

_NAME_BYTES = 1000
_DIGITS = 10
# What PostgreSQL calls a relation, by its letter.
SUBTYPES = {"r": "table", "p": "table", "v": "view", "m": "materialized_view", "f": "foreign_table"}


class CrawlScope(BaseModel):
    """Which tables of a database a crawl answers for.

    :param include: patterns of schemas, or of tables as ``schema.table``; ``*`` and ``?`` stand for any
        letters and for one. Everything unless given.
    :param exclude: patterns of what is left out all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: tuple[str, ...] = Field(default=())
    exclude: tuple[str, ...] = Field(default=())

    @field_validator("include", "exclude")
    @classmethod
    def _fine(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not pattern.strip() or "\x00" in pattern:
                msg = (
                    f"{pattern!r} is no pattern: write a schema, or schema.table, with * and ? as wildcards."
                )
                raise ValueError(msg)
        return patterns

    @property
    def including(self) -> list[str]:
        """The patterns of ``include`` for SQL's ``LIKE`` on ``schema.table``."""
        return [_like(pattern) for pattern in self.include or ("*",)]

    @property
    def excluding(self) -> list[str]:
        """The patterns of ``exclude`` for SQL's ``LIKE`` on ``schema.table``."""
        return [_like(pattern) for pattern in self.exclude]


def _like(pattern: str) -> str:
    r"""Return a pattern as SQL's.

    >>> _like("sales"), _like("sales.o*_1")
    ('sales.%', 'sales.o%\\_1')
    """
    for letter in ("\\", "%", "_"):
        pattern = pattern.replace(letter, "\\" + letter)
    pattern = pattern.replace("*", "%").replace("?", "_")
    return pattern if "." in pattern else pattern + ".%"


@dataclass(frozen=True, slots=True)
class Place:
    """A database among all of them."""

    host: str
    port: int
    database: str

    @property
    def namespace(self) -> str:
        """Its server in OpenLineage."""
        return NAMING.lineage_namespace(host=self.host, port=self.port)

    @property
    def scope(self) -> str:
        """What a crawl of all of it answers for."""
        return f"{self.namespace}/{self.database}"

    def uri(self, schema: str, table: str) -> str:
        """Return the uri of a table, as Airflow's own assets for PostgreSQL have it."""
        path = "/".join(quote(word, safe="") for word in (self.database, schema, table))
        return f"postgres://{NAMING.lineage_host(self.host)}:{self.port}/{path}"


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table, view or foreign table as its database describes it.

    :param letter: its kind as ``pg_class.relkind`` has it.
    :param managed: whether it is the view of a dataset of ours, whose own facts are in the ledger.
    """

    schema: str
    name: str
    letter: str
    owner: str | None = None
    comment: str | None = None
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    comments: tuple[tuple[str, str], ...] = ()
    primary_key: tuple[str, ...] = ()
    definition: str | None = None
    managed: bool = False

    def entry(self, place: Place, *, scope: str, conn_id: str | None) -> AssetEntry:
        """Return what the catalog shall hold of it.

        :param conn_id: connection of its database, where that is not the ledger's own.
        """
        name = f"{place.database}.{self.schema}.{self.name}"
        facts: dict[str, Any] = {"relation": f"{self.schema}.{self.name}", "conn_id": conn_id}
        if not self.managed:
            facts |= {
                "definition": self.definition,
                "primary_key": list(self.primary_key),
                "row_estimate": self.rows,
            }
        return AssetEntry(
            name=_cut(f"{place.namespace}/{name}"),
            kind="external",
            uri=place.uri(self.schema, self.name),
            subtype=SUBTYPES[self.letter],
            owner=None if self.managed else self.owner,
            description=_one_line(self.comment),
            documentation=self.comment if self.comment and _one_line(self.comment) != self.comment else None,
            location={key: value for key, value in facts.items() if value not in (None, [])},
            columns=None if self.managed else self.columns,
            column_docs=tuple(ColumnDoc(column, text) for column, text in self.comments),
            aliases=((place.namespace, name),),
            source="crawled",
            crawl_scope=None if self.managed else scope,
        )


def rounded(rows: float) -> int | None:
    """Return an estimate of rows to its first digit, so that a growing table is not news every day.

    >>> [rounded(n) for n in (-1, 0, 7, 44, 951, 123456)]
    [None, 0, 7, 40, 1000, 100000]
    """
    if rows < 0:
        return None
    return int(float(f"{rows:.0e}")) if rows >= _DIGITS else int(rows)


def _one_line(text: str | None) -> str | None:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[0] if lines else None


def _cut(name: str) -> str:
    import hashlib

    whole = name.encode()
    if len(whole) <= _NAME_BYTES:
        return name
    mark = hashlib.sha256(whole).hexdigest()[:16]
    return f"{whole[: _NAME_BYTES - 17].decode(errors='ignore')}~{mark}"


@dataclass(frozen=True, slots=True)
class Crawled:
    """What a crawl came to.

    :param missing: assets that were there at an earlier crawl and are not any more.
    """

    scope: str
    crawl_id: int
    registered: Registered = field(default_factory=Registered)
    missing: int = 0

    @property
    def seen(self) -> int:
        """How many tables there were."""
        return self.registered.new + self.registered.changed + self.registered.unchanged

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        counts = self.registered.to_dict() | {"missing": self.missing, "seen": self.seen}
        return {"scope": self.scope, "crawl_id": self.crawl_id} | counts


class Tables(Protocol):
    """A database whose tables can be listed."""

    @property
    def place(self) -> Place:
        """Where it is."""

    def pages(self, scope: CrawlScope) -> Iterator[Sequence[FoundTable]]:
        """Yield every table within a scope, in pages; an error means that the list is not whole."""


class Crawls(Protocol):
    """Crawls in the ledger."""

    def hold(self, scope: str) -> AbstractContextManager[None]:
        """Keep others from crawling the same scope meanwhile.

        :raises ConflictError: somebody does.
        """

    def begin(self, scope: str, *, run_key: int) -> int:
        """Write down that a crawl starts; those of its scope that never ended are given up."""

    def register(self, entries: Iterable[AssetEntry]) -> Registered:
        """Lay a page over the catalog and remember what was seen."""

    def finish(self, crawl_id: int, *, within: CrawlScope, registered: Registered) -> int:
        """Mark what was not seen as missing, in one transaction with the crawl's end; returns how many."""


def require_scope(scope: str | None, place: Place) -> str:
    """Return the name of what a crawl answers for; that of the database unless given."""
    if scope is not None and not scope.strip():
        msg = "scope='' names nothing: leave it out, or write a word of your own."
        raise SpecError(msg)
    return scope or place.scope
