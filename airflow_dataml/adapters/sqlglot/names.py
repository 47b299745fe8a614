"""How a dialect spells names, and what the catalog of schemas knows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.dialects.dialect import Dialect, NormalizationStrategy

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_dataml.core.column_flows import Flows, Output
    from airflow_dataml.core.column_lineage import Schemas

_UPPER = (NormalizationStrategy.UPPERCASE, NormalizationStrategy.CASE_INSENSITIVE_UPPERCASE)
# Columns every table has and no schema lists.
SYSTEM = frozenset({
    "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid", "rowid", "rownum", "rownumber",
    "_partitiontime", "_partitiondate", "_table_suffix", "current_user", "session_user", "user",
    "current_role", "current_catalog", "current_schema", "current_date", "current_time",
    "current_timestamp", "localtime", "localtimestamp", "sysdate", "default",
})  # fmt: skip


class Unresolved(Exception):
    """A name that the statement uses has no known origin."""


class Names:
    """Names of one statement, looked up in the catalog of schemas.

    :param consulted: what was looked up and what was found, so that an answer can be kept while it holds.
    """

    def __init__(self, schemas: Schemas, *, dialect: str, default_schema: str | None) -> None:
        self._schemas = schemas
        self._default = default_schema
        self._upper = Dialect.get_or_raise(dialect or None).normalization_strategy in _UPPER
        self._folded: dict[str, str] | None = None
        self._learned: dict[str, tuple[str, ...]] = {}
        self.consulted: dict[str, tuple[str, ...] | None] = {}

    def fold(self, identifier: exp.Expr | str) -> str:
        """Return a name as the system that runs the statement stores it."""
        if isinstance(identifier, str):
            return identifier
        text = str(identifier.name)
        if identifier.args.get("quoted"):
            return text
        return text.upper() if self._upper else text.lower()

    def relation(self, table: exp.Table) -> str:
        """Return the name of a table: the catalog's where it is there."""
        parts = [self.fold(part) for part in table.parts]
        candidates = [".".join(parts)]
        if len(parts) > 2:
            candidates.append(".".join(parts[-2:]))
        if len(parts) == 1 and self._default:
            candidates.insert(0, f"{self._default}.{parts[0]}")
        for name in candidates:
            if self._find(name) is not None:
                return name
        quoted = any(part.args.get("quoted") for part in table.parts)
        for name in () if quoted else candidates:
            found = self._loosely(name)
            if found is not None and self._find(found) is not None:
                return found
        return candidates[0]

    def columns(self, relation: str) -> tuple[str, ...] | None:
        """Return the columns of a table in order, where the catalog knows it."""
        return self._find(relation)

    def learn(self, relation: str, columns: tuple[str, ...]) -> None:
        """Know a table that an earlier statement of the same text makes."""
        self._learned[relation] = columns

    def _find(self, name: str) -> tuple[str, ...] | None:
        if name in self._learned:
            return self._learned[name]
        if name not in self.consulted:
            known = self._schemas.get(name)
            self.consulted[name] = None if known is None else tuple(known)
        return self.consulted[name]

    def _loosely(self, name: str) -> str | None:
        if self._folded is None:
            self._folded = {key.lower(): key for key in self._schemas}
        return self._folded.get(name.lower())


class Item:
    """An entry of FROM under its name.

    :param output: its columns.
    :param relation: the table it is, where the catalog does not know the table: then any column may be its.
    :param loose: a function, whose columns are named as the statement pleases and are all made of the same.
    """

    __slots__ = ("_exact", "_folded", "alias", "loose", "output", "relation")

    def __init__(
        self, alias: str, output: Output, *, relation: str | None = None, loose: bool = False
    ) -> None:
        self.alias = alias
        self.output = output
        self.relation = relation
        self.loose = loose
        self._exact: dict[str, Flows] | None = None
        self._folded: dict[str, Flows] = {}

    def known(self, name: str, *, quoted: bool) -> Flows | None:
        """Return what a column is made from, if there is one of that name."""
        if self._exact is None:
            pairs = list(zip(self.output.names, self.output.columns, strict=True))[::-1]
            self._exact = dict(pairs)
            self._folded = {key.lower(): flows for key, flows in pairs}
        found = self._exact.get(name)
        return found if found is not None or quoted else self._folded.get(name.lower())

    def assumed(self, name: str) -> Flows | None:
        """Return what a column would be made from, if any column may be here."""
        if self.relation is not None:
            return frozenset({(self.relation, name, "value")})
        if self.loose:
            return frozenset(flow for flows in self.output.columns for flow in flows)
        return None

    def whole(self) -> Flows:
        """Return every column, for a row used as a value."""
        if self.relation is not None:
            msg = f"the columns of {self.relation} are not known"
            raise Unresolved(msg)
        return frozenset(flow for flows in self.output.columns for flow in flows)
