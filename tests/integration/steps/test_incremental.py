"""Verifying the result of an append reads the append: what was there may even be gone, and the verdict is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import QualityGateError
from airflow_dataml.core.layout import Layout
from airflow_dataml.steps.examine import Question
from airflow_dataml.steps.manifests import outcome_of
from airflow_dataml.steps.verify import verify_part, verify_version
from tests.integration.steps.rides import COLUMNS, Rides
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Part, StagedPart
    from airflow_dataml.core.governance import Report

MERGEABLE = """
dataset: w/db/public/rides
columns:
  - {name: id, checks: [{missing: {}}]}
  - {name: kind, valid_values: [bike, car], checks: [{invalid: {threshold: {metric: percent, must_be_less_than: 60}}}]}
  - name: km
    checks:
      - missing: {threshold: {metric: percent, must_be_less_than: 50}}
      - aggregate: {function: avg, threshold: {must_be_between: {greater_than: 1, less_than: 9}}}
      - aggregate: {function: max, threshold: {must_be_less_than: 100}, qualifier: most}
checks:
  - row_count: {threshold: {must_be_greater_than: 1}}
  - failed_rows: {expression: km < 0}
"""
EVERYTHING = (
    MERGEABLE
    + """  - schema: {}
  - duplicate: {columns: [id]}
  - metric: {expression: "stddev(km)", threshold: {must_be_less_than: 50}}
"""
)
SAID = ("id", "verdict", "observed", "threshold", "diagnostics")


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    return Rides(ledger, layout=Layout(keys=("id",)))


def day(number: int, *, count: int = 40, km: float = 3.0) -> list[tuple[Any, ...]]:
    kinds = ("bike", "car", None)
    return [(number * 1000 + n, kinds[n % 3], None if n % 7 == 0 else km + n % 5) for n in range(count)]


def verify(
    rides: Rides, staged: StagedPart, *, run: str, text: str = MERGEABLE, scope: Any = "result"
) -> Report:
    return verify_part(
        ledger=rides.ledger,
        warehouse=rides.ledger.warehouse,
        store=rides.ledger.store,
        engine=NativeEngine(),
        identity=identity("audit", run),
        staged=staged,
        contract=Contract.from_text(text),
        scope=scope,
    )


def written(rides: Rides, number: int, *, text: str = MERGEABLE, **how: Any) -> Report:
    staged = rides.stage(day(number), **how)
    report = verify(rides, staged, run=str(number), text=text)
    rides.publish(staged)
    return report


def said(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: check[name] for name in SAID} for check in report["checks"]]


def in_full(rides: Rides, staged: StagedPart, text: str) -> list[dict[str, Any]]:
    """What the engine finds when it knows nothing."""
    ledger, outcome = rides.ledger, outcome_of(rides.ledger, staged)
    with (
        ledger.store.inspect(name="full", columns=outcome.columns, parts=outcome.parts) as relation,
        ledger.warehouse.engine_connection() as connection,
    ):
        found = NativeEngine().verify(
            contract=Contract.from_text(text), relation=relation, connection=connection,
            variables={}, data_timestamp=None, timeout_s=60, references={},
        )  # fmt: skip
    return said(found.to_dict())


def current(rides: Rides) -> tuple[Part, ...]:
    return rides.ledger.versions.manifest(rides.ledger.versions.find("rides").version_id)


def empty(ledger: PostgresLedger, parts: Sequence[Part]) -> None:
    """Take the rows of parts away behind the ledger's back."""
    with ledger.transaction():
        ledger.connection.execute("SET LOCAL session_replication_role = replica")
        for part in parts:
            ledger.connection.execute(f"DELETE FROM {part.relation.quoted}")


def states(ledger: PostgresLedger) -> int:
    return int(ledger.connection.scalar("SELECT count(*) FROM dataml.part_state"))


def test_an_append_is_verified_without_the_rows_that_were_there(rides: Rides) -> None:
    for number in range(3):
        written(rides, number)
    staged = rides.stage(day(3, km=4.0))
    expected = in_full(rides, staged, MERGEABLE)
    empty(rides.ledger, current(rides))
    report = verify(rides, staged, run="3")
    assert (report.verdict, report.body["rows"]) == ("pass", 160)
    assert said(report.body) == expected
    assert states(rides.ledger) == 4


@pytest.mark.parametrize("text", [MERGEABLE, EVERYTHING], ids=["mergeable", "every kind"])
def test_any_way_of_writing_is_verified_as_in_full(rides: Rides, text: str) -> None:
    changed = [(5, "car", 2.5), (39, None, 8.0), (1_002, "tram", None), (9_000, "bike", 1.0)]
    steps: list[tuple[list[tuple[Any, ...]], dict[str, Any]]] = [
        (day(0), {}),
        (day(1), {"key": "b"}),
        (changed, {"mode": "merge", "keys": ["id"]}),
        (day(2, count=15), {}),
        (day(1, count=9, km=7.0), {"mode": "partition", "key": "b"}),
        (day(6), {"mode": "replace"}),
        (day(7), {}),
    ]
    for number, (rows, how) in enumerate(steps):
        staged = rides.stage(rows, **how)
        expected = in_full(rides, staged, text)
        try:
            found = verify(rides, staged, run=str(number), text=text).body
        except QualityGateError as err:
            found = err.report
        assert said(found) == expected, (number, how)
        rides.publish(staged)


def test_a_column_that_came_later_is_missing_in_old_parts(rides: Rides) -> None:
    written(rides, 0)
    wider = (*COLUMNS, type(COLUMNS[0])("tip", "numeric"))
    staged = rides.stage([(*row, 1) for row in day(1)], columns=wider)
    text = MERGEABLE.replace(
        "checks:\n  - row_count",
        "  - {name: tip, checks: [{missing: {threshold: {must_be: 40}}}]}\nchecks:\n  - row_count",
    )
    assert said(verify(rides, staged, run="1", text=text).body) == in_full(rides, staged, text)


def test_what_was_measured_of_the_batch_alone_serves_the_result(rides: Rides) -> None:
    written(rides, 0)
    staged = rides.stage(day(1))
    verify(rides, staged, run="1", scope="batch")
    expected = in_full(rides, staged, MERGEABLE)
    empty(rides.ledger, [rides.ledger.versions.part(staged.part_id), *current(rides)])
    assert said(verify(rides, staged, run="again").body) == expected


def test_another_contract_measures_anew_and_another_threshold_does_not(rides: Rides) -> None:
    written(rides, 0)
    staged = rides.stage(day(1))
    verify(rides, staged, run="threshold", text=MERGEABLE.replace("less_than: 9", "less_than: 8"))
    assert states(rides.ledger) == 2
    verify(rides, staged, run="another", text=MERGEABLE.replace("km < 0", "km < -1"))
    assert states(rides.ledger) == 4


def test_a_published_version_is_verified_from_what_is_known(rides: Rides) -> None:
    for number in range(2):
        last = written(rides, number)
    empty(rides.ledger, current(rides))
    report = verify_version(
        ledger=rides.ledger,
        warehouse=rides.ledger.warehouse,
        store=rides.ledger.store,
        engine=NativeEngine(),
        identity=identity("look", "later"),
        ref="rides",
        question=Question(Contract.from_text(MERGEABLE)),
    )
    assert said(report.body) == said(last.body)
    assert report.version_id == rides.ledger.versions.find("rides@2").version_id


def test_what_cannot_be_measured_leaves_no_state_and_no_pass(rides: Rides) -> None:
    staged = rides.stage(day(0))
    with pytest.raises(QualityGateError, match="gone"):
        verify(rides, staged, run="0", text=MERGEABLE.replace("km < 0", "gone < 0"))
    assert states(rides.ledger) == 0
