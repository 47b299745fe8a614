"""What the names in one SELECT stand for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_dataml.adapters.sqlglot.names import SYSTEM, Unresolved
from airflow_dataml.core.column_flows import NOTHING, Flows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot import exp

    from airflow_dataml.adapters.sqlglot.names import Item


@dataclass(slots=True)
class Tree:
    """Tables joined so far: what ``*`` gives, in order, and what a bare name means.

    :param columns: ``None`` where a table is not known.
    :param using: columns that a USING made one of two.
    """

    items: list[Item] = field(default_factory=list)
    columns: list[tuple[str, Flows]] | None = field(default_factory=list)
    using: dict[str, Flows] = field(default_factory=dict)

    def beside(self, other: Tree) -> Tree:
        """Join without naming columns."""
        columns = None if self.columns is None or other.columns is None else self.columns + other.columns
        return Tree(self.items + other.items, columns, {**self.using, **other.using})

    def column(self, name: str) -> Flows:
        """Return what a column that USING names is made from on this side."""
        if name in self.using:
            return self.using[name]
        found = [f for i in self.items if (f := i.known(name, quoted=False)) is not None]
        found = found or [f for i in self.items if (f := i.assumed(name)) is not None]
        if len(found) != 1:
            msg = f"USING ({name}) names no single column"
            raise Unresolved(msg)
        return found[0]

    def on_columns(self, other: Tree, names: list[str], side: str) -> Tree:
        """Join on columns of one name, which come first and once."""
        left, right = ({name: tree.column(name) for name in names} for tree in (self, other))
        both = {"RIGHT": right, "FULL": {name: left[name] | right[name] for name in names}}.get(side, left)
        joined = self.beside(other)
        joined.using.update(both)
        if joined.columns is not None:
            rest = [pair for pair in joined.columns if pair[0] not in both]
            joined.columns = [*both.items(), *rest]
        return joined

    def common(self, other: Tree) -> list[str]:
        """Return the names that a NATURAL join is on."""
        if self.columns is None or other.columns is None:
            msg = "a NATURAL join of a table that is not known"
            raise Unresolved(msg)
        there = {name for name, _ in other.columns}
        return [name for name in dict(self.columns) if name in there]


@dataclass(slots=True)
class Scope:
    """Names of one SELECT, and of those around it.

    :param aliases: output columns, which some dialects and some clauses may name.
    :param windows: WINDOW clauses by name.
    """

    outer: Scope | None = None
    tree: Tree = field(default_factory=Tree)
    aliases: dict[str, Flows] = field(default_factory=dict)
    windows: Mapping[str, exp.Expr] = field(default_factory=dict)
    guessed: bool = False

    def column(self, name: str, *, quoted: bool) -> Flows:
        """Return what a bare column name is made from.

        :raises Unresolved: it may be of several tables, or of none.
        """
        levels = list(self._levels())
        for level in levels:
            if (found := level.here(name, quoted=quoted)) is not None:
                return found
        for level in levels:
            for item in level.tree.items:
                if item.alias == name:
                    return item.whole()
        for level in levels:
            assumed = [f for i in level.tree.items if (f := i.assumed(name)) is not None]
            if len(assumed) == 1:
                self.guessed = self.guessed or len(level.tree.items) > 1
                return assumed[0]
            if assumed:
                msg = f"column {name!r} may be of several tables that are not known"
                raise Unresolved(msg)
        if name in self.aliases:
            return self.aliases[name]
        if name.lower() in SYSTEM:
            return NOTHING
        msg = f"column {name!r} is in no table of the statement"
        raise Unresolved(msg)

    def here(self, name: str, *, quoted: bool) -> Flows | None:
        """Return what a bare name is made from at this level alone, if a known table has it."""
        if name in self.tree.using:
            return self.tree.using[name]
        found = [f for i in self.tree.items if (f := i.known(name, quoted=quoted)) is not None]
        if len(found) > 1 and any(flows != found[0] for flows in found):
            msg = f"column {name!r} is in several tables of the statement"
            raise Unresolved(msg)
        if found:
            return found[0]
        named = next((i for i in self.tree.items if i.loose and i.alias == name), None)
        return named.assumed(name) if named else None

    def qualified(self, table: str, name: str, *, quoted: bool) -> Flows:
        """Return what ``table.name`` is made from."""
        item = self.item(table)
        if item is None:
            # A field of a column, in dialects that write it so.
            return self.column(table, quoted=False)
        found = item.known(name, quoted=quoted)
        found = item.assumed(name) if found is None else found
        if found is None and name.lower() in SYSTEM:
            return NOTHING
        if found is None:
            msg = f"{table!r} has no column {name!r}"
            raise Unresolved(msg)
        return found

    def item(self, alias: str) -> Item | None:
        """Return the entry of FROM under a name, here or around."""
        for level in self._levels():
            for item in level.tree.items:
                if item.alias == alias:
                    return item
        return None

    def _levels(self) -> list[Scope]:
        found: list[Scope] = []
        level: Scope | None = self
        while level is not None:
            found.append(level)
            level = level.outer
        return found
