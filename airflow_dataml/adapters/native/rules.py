"""What a contract says of single rows and of keys, for those who show, move or count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native import conditions as sql
from airflow_dataml.adapters.native.binding import bind
from airflow_dataml.adapters.native.metrics import needs_of
from airflow_dataml.adapters.native.rows import row_conditions
from airflow_dataml.core.contract_checks import ColumnDuplicateCheck, DuplicateCheck
from airflow_dataml.core.quarantine import DuplicateRule
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.refs import Relation


class NativeRules:
    r"""Row rules as the native engine reads them; see ``core.ports_quarantine.RowRules``.

    >>> from airflow_dataml.core.contract import Contract
    >>> contract = Contract.from_text("dataset: w/rides\ncolumns: [{name: id, checks: [duplicate: ]}]")
    >>> NativeRules().duplicates(contract, variables={})[0][1]
    DuplicateRule(names=('id',), expressions=('"id"',), condition='"id" IS NOT NULL')
    """

    def conditions(
        self,
        contract: Contract,
        *,
        variables: Mapping[str, Any],
        references: Mapping[str, Relation] | None = None,
        data_timestamp: datetime | None = None,
    ) -> tuple[tuple[str, str], ...]:
        """Return, for every check that speaks of single rows, the condition of a row that breaks it."""
        return row_conditions(
            contract, variables=variables, references=references, data_timestamp=data_timestamp
        )

    def duplicates(
        self, contract: Contract, *, variables: Mapping[str, Any], data_timestamp: datetime | None = None
    ) -> tuple[tuple[str, DuplicateRule], ...]:
        """Return, for every duplicate check, what it compares."""
        bound = bind(contract, variables, data_timestamp=data_timestamp)
        where = sql.enclosed(bound.filter) if bound.filter else None
        found = []
        for check, body, column in bound.checks():
            if not isinstance(body, ColumnDuplicateCheck | DuplicateCheck):
                continue
            metric = needs_of(check, body, column, {})["distinct"]
            names = metric.columns or (str(check.column),)
            values = (metric.argument,) if metric.argument else tuple(map(quote_identifier, names))
            found.append((check.id, DuplicateRule(names, values, sql.both(where, metric.condition))))
        return tuple(found)
