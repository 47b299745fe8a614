"""Samples: a few of the rows that broke a check, for the report; what cannot be shown changes no verdict."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import DataMLError
from airflow_dataml.core.quality import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_dataml.core.contract import Contract
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.ports_quarantine import RowRules
    from airflow_dataml.core.quality import CheckResult
    from airflow_dataml.core.quarantine import Sample
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.steps.examine import Question

log = logging.getLogger(__name__)
# Characters of all samples of one report together.
_ROOM = 64_000
_BAD = (Verdict.FAIL, Verdict.WARN)


def samples_of(
    *,
    ledger: Ledger,
    question: Question,
    relation: Relation,
    connection: Any,
    tables: Mapping[str, Relation],
    found: Iterable[CheckResult],
) -> dict[str, Any]:
    """Return rows of a relation that broke checks, by check; of duplicates, keys with their number of rows.

    One query per check that did not pass and speaks of single rows, all within the question's timeout.

    :param connection: the engine's connection; it is left as it was.
    :param tables: dataset named in ``valid_reference_data`` -> the table to read.
    """
    block = question.contract.extension.samples
    failed = [check.id for check in found if check.verdict in _BAD]
    if question.rules is None or not block.rows or not failed:
        return {}
    deadline = time.monotonic() + question.timeout_s
    asked = dict(_queries(ledger, question, question.rules, relation, connection, tables))
    samples: dict[str, Any] = {}
    room = _ROOM
    for check in failed:
        if check not in asked:
            continue
        try:
            sample = asked[check](timeout_s=max(deadline - time.monotonic(), 0.001))
        except DataMLError as err:
            # The message may quote a value that is masked.
            log.warning("No rows are shown of %s: %s", check, type(err).__name__)
            samples[check] = {"error": f"no rows could be read ({type(err).__name__})"}
            continue
        rows, room = _fitting(sample, room)
        samples[check] = {"columns": list(sample.columns), "rows": rows}
    return samples


def _queries(
    ledger: Ledger,
    question: Question,
    rules: RowRules,
    relation: Relation,
    connection: Any,
    tables: Mapping[str, Relation],
) -> Iterator[tuple[str, Callable[..., Sample]]]:
    contract: Contract = question.contract
    block = contract.extension.samples
    said: dict[str, Any] = {"relation": relation, "mask": block.mask, "limit": block.rows}
    given: dict[str, Any] = {"variables": question.variables, "data_timestamp": question.data_timestamp}
    for check, condition in rules.conditions(contract, references=tables, **given):
        yield check, partial(ledger.samples.rows, connection, condition=condition, **said)
    for check, rule in rules.duplicates(contract, **given):
        yield check, partial(ledger.samples.keys, connection, rule=rule, **said)


def _fitting(sample: Sample, room: int) -> tuple[list[list[str | None]], int]:
    """Return the rows that there is room for, and what room is left."""
    rows = []
    for row in sample.rows:
        room -= sum(len(value or "") for value in row)
        if room < 0:
            break
        rows.append(list(row))
    return rows, max(room, 0)
