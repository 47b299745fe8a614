"""The algebra of column lineage: what flows through queries, whoever reads the query.

The analyser of PostgreSQL and the parser of SQL text share it, so that they mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_dataml.core.column_lineage import ColumnSource, Via

if TYPE_CHECKING:
    from collections.abc import Iterable

# (relation, column, how)
Flow: TypeAlias = tuple[str, str, Via]
Flows: TypeAlias = frozenset[Flow]

NOTHING: Flows = frozenset()
# A recursive query that still grows after so many rounds names more columns than anybody wrote.
ROUNDS = 64


@dataclass(frozen=True, slots=True)
class Output:
    """What a query, a table or a function gives.

    :param names: its columns in order; a name may occur twice.
    :param columns: what each is made from.
    :param rows: what decides which rows there are.
    """

    names: tuple[str, ...]
    columns: tuple[Flows, ...]
    rows: Flows = NOTHING

    def renamed(self, names: Iterable[str]) -> Output:
        """Give the first columns other names."""
        given = tuple(names)[: len(self.names)]
        return Output((*given, *self.names[len(given) :]), self.columns, self.rows)


def through(flows: Iterable[Flow], via: Via) -> Flows:
    """Return flows seen through a place of a statement: a value of a condition is a condition.

    >>> sorted(through({("s.t", "a", "value")}, "filter"))
    [('s.t', 'a', 'filter')]
    >>> sorted(through({("s.t", "a", "condition")}, "value"))
    [('s.t', 'a', 'condition')]
    """
    if via == "value":
        return frozenset(flows)
    return frozenset((relation, column, via) for relation, column, _ in flows)


def merged(parts: Iterable[Iterable[Flow]]) -> Flows:
    """Return all flows of several."""
    return frozenset(flow for part in parts for flow in part)


def combine(left: Output, right: Output, *, subtracts: bool = False) -> Output:
    """Return what a set operation of two queries gives.

    :param subtracts: EXCEPT, where the right side decides what stays and gives no value.
    """
    how: Via = "filter" if subtracts else "value"
    width = max(len(left.columns), len(right.columns))
    columns = tuple(_at(left.columns, i) | through(_at(right.columns, i), how) for i in range(width))
    names = left.names if len(left.names) == width else right.names
    return Output(names, columns, left.rows | right.rows)


def sources(flows: Iterable[Flow]) -> tuple[ColumnSource, ...]:
    """Return flows as the nouns of ``core.column_lineage``, in order."""
    return tuple(
        sorted(
            ColumnSource(relation, column, "direct" if via == "value" else "indirect", via)
            for relation, column, via in flows
        )
    )


def _at(columns: tuple[Flows, ...], position: int) -> Flows:
    return columns[position] if position < len(columns) else NOTHING
