"""Which checks the native engine has no answer to, so that another engine can be chosen for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.adapters.native.judge import JUDGES
from airflow_dataml.core.contract_checks import FreshnessCheck, SchemaCheck

if TYPE_CHECKING:
    from airflow_dataml.core.contract import Contract

_KNOWN = frozenset({*JUDGES, FreshnessCheck, SchemaCheck})


def covers(contract: Contract) -> tuple[str, ...]:
    r"""Return the ids of the checks the native engine cannot run; every check of the language can be.

    >>> from airflow_dataml.core.contract import Contract
    >>> covers(Contract.from_text("dataset: w/rides\ncolumns: []\nchecks: [row_count: ]"))
    ()
    """
    return tuple(check.id for check in contract.checks if type(check.body) not in _KNOWN)
