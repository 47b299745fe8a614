"""Quarantine and replay as tasks: killed at any statement, given bad input, and as a DAG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.errors import NotFoundError, QualityGateError, SpecError
from airflow_dataml.operators.datasets import DatasetPublishOperator, DatasetStageOperator
from airflow_dataml.operators.quality import QualityCheckOperator
from airflow_dataml.operators.quarantine import QuarantineReplayOperator
from airflow_dataml.task_groups.replay_quarantine import replay_quarantine
from airflow_dataml.task_groups.write_audit_publish import write_audit_publish
from tests.integration.operators.harness import RIDES, batch, run
from tests.integration.operators.world import World, snapshot
from tests.killing import killed_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_dataml.operators.base import DataMLOperator

KEY = "2026-01"
CONTRACT = """
dataset: dataml/test/public/rides
columns:
  - {name: id, data_type: integer, checks: [{missing: {}}, {duplicate: {}}]}
  - {name: at, data_type: timestamp with time zone, checks: [{missing: {}}]}
  - {name: km, data_type: double precision, valid_min: 0, valid_max: 100, checks: [{invalid: {}}]}
  - {name: kind, data_type: text, valid_values: [bike, car, tram], checks: [{invalid: {}}]}
  - {name: late, data_type: integer}
x-dataml:
  on_fail: quarantine
  quarantine: {max_fraction: 0.05}
  samples: {mask: [at]}
"""
REPAIR = "SELECT id, at, abs(km) AS km, 'car' AS kind, late FROM quarantined"
_QUARANTINED = """
SELECT q.fact_key, q.row_count, q.tested, q.reasons, q.partition_key, q.state, q.note, p.fact_key AS part, v.number,
       (SELECT count(*) FROM dataml.quarantine_replay r WHERE r.quarantine_id = q.quarantine_id) AS replays
FROM dataml.quarantine q JOIN dataml.part p USING (part_id) LEFT JOIN dataml.version v ON v.version_id = q.version_id
ORDER BY q.quarantine_id
"""


def write_batch(folder: Path, *, bad: int) -> str:
    """A batch whose first rows are longer than any ride or of no kind there is."""
    path = batch(folder / "rides.csv", month=1, rows=200)
    header, *lines = path.read_text().splitlines()
    for index in range(bad):
        number, at, km, kind, late = lines[index].split(",")
        lines[index] = f"{number},{at},-{km},{'boat' if index % 2 else kind},{late}"
    path.write_text("\n".join([header, *lines]) + "\n")
    return str(path)


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return furnished(make_world())


def furnished(world: World) -> World:
    (world.folder / "rides.yml").write_text(CONTRACT)
    return world


def story(world: World, *, bad: int = 5) -> Iterator[tuple[DataMLOperator, str]]:
    """A batch with bad rows comes in, and the bad rows come back repaired."""
    contract = str(world.folder / "rides.yml")
    path = write_batch(world.folder, bad=bad)
    yield DatasetStageOperator(task_id="stage", dataset=RIDES, path=path, contract=contract), KEY
    staged = world.results["stage", KEY]
    yield QualityCheckOperator(task_id="audit", dataset=RIDES, staged=staged, contract=contract), KEY
    yield DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged), KEY
    yield QuarantineReplayOperator(task_id="replay", dataset=RIDES, repair_sql=REPAIR), KEY
    again = world.results["replay", KEY]
    yield QualityCheckOperator(task_id="audit_again", dataset=RIDES, staged=again, contract=contract), KEY
    yield DatasetPublishOperator(task_id="publish_again", dataset=RIDES, staged=again), KEY


def facts(world: World) -> dict[str, Any]:
    with world.ledger() as ledger:
        rows = [tuple(row.values()) for row in ledger.connection.rows(_QUARANTINED)]
    return snapshot(world) | {"quarantine": rows}


def tell(world: World, until: str | None = None) -> None:
    for operator, key in story(world):
        world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
        if operator.task_id == until:
            return


def test_bad_rows_are_left_out_and_come_back_repaired(world: World) -> None:
    tell(world)
    with world.ledger() as ledger:
        versions = [(v.ref, v.rows) for v in reversed(ledger.versions.list("rides"))]
        [one] = ledger.quarantine.list()
        [incident] = ledger.incidents.list()
        samples = json.dumps([report.body.get("samples") for report in ledger.reports.list(asset="rides")])
        assert ledger.audit.verify()[1] is None
    assert versions == [("rides@1", 195), ("rides@2", 200)]
    assert (one.rows, one.state, one.version) == (5, "replayed", "rides@2")
    assert (incident.severity, incident.state) == ("low", "resolved")
    assert incident.title == "5 rows of rides 2026-01 were set aside"
    assert "boat" in samples
    assert "2026-01" not in samples


@pytest.mark.slow
@pytest.mark.parametrize("stretch", [4, 17], ids=["often", "seldom"])
def test_killed_anywhere_it_ends_as_undisturbed(make_world: Callable[[], World], stretch: int) -> None:
    calm = furnished(make_world())
    tell(calm)
    expected = facts(calm)

    rough, kills = furnished(make_world()), {}
    for operator, key in story(rough):
        tries = 0
        for point in range(stretch // 2, 140, stretch):
            tries += 1

            def attempt(operator: DataMLOperator = operator, key: str = key, tries: int = tries) -> Any:
                return run(operator, run_id=key, partition_key=key, try_number=tries)

            if not killed_after(point, attempt):
                break
            kills[operator.task_id] = kills.get(operator.task_id, 0) + 1
        rough.results[operator.task_id, key] = run(
            operator, run_id=key, partition_key=key, try_number=tries + 1
        )

    assert facts(rough) == expected
    assert len(kills) == 6, f"some task was never killed: {kills}"


class TestBadInput:
    def test_nothing_to_replay_is_a_skip(self, world: World) -> None:
        operator = QuarantineReplayOperator(task_id="replay", dataset=RIDES)
        with pytest.raises(AirflowSkipException, match="Nothing of rides 2026-01 is quarantined"):
            run(operator, partition_key=KEY)

    @pytest.mark.parametrize(
        ("said", "error", "words"),
        [
            ({"quarantine": 7}, NotFoundError, "quarantine 7 is not in the ledger"),
            ({"quarantine": "seven"}, SpecError, "'seven' is not a number of `dataml quarantine list`"),
            ({"quarantine": "1"}, SpecError, "quarantine 1 of 'rides' was replayed as rides@2"),
        ],
        ids=["unknown", "no number", "replayed already"],
    )
    def test_the_number_is_looked_at(
        self, world: World, said: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        tell(world)
        with pytest.raises(error, match=words):
            run(QuarantineReplayOperator(task_id="another", dataset=RIDES, **said), partition_key=KEY)

    def test_a_merge_needs_keys(self, world: World) -> None:
        tell(world, until="publish")
        with pytest.raises(SpecError, match="mode='merge' needs keys"):
            run(QuarantineReplayOperator(task_id="replay", dataset=RIDES, mode="merge"), partition_key=KEY)

    def test_a_contract_without_row_checks_refuses_the_batch(self, world: World) -> None:
        (world.folder / "rides.yml").write_text(
            "dataset: dataml/test/public/rides\ncolumns:\n"
            "  - {name: id, data_type: integer}\n  - {name: at, data_type: timestamp with time zone}\n"
            "  - {name: km, data_type: double precision}\n  - {name: kind, data_type: text}\n"
            "  - {name: late, data_type: integer}\n"
            "checks: [{row_count: {threshold: {must_be_greater_than: 1000}}}]\nx-dataml: {on_fail: quarantine}\n"
        )
        with pytest.raises(QualityGateError, match="row_count does not speak of single rows"):
            tell(world)

    def test_more_than_the_contract_allows_refuses_the_batch(self, world: World) -> None:
        for operator, key in story(world, bad=11):
            if operator.task_id == "audit":
                with pytest.raises(QualityGateError, match=r"11 of 200 rows \(5.50%\) are at fault"):
                    run(operator, run_id=key, partition_key=key)
                break
            world.results[operator.task_id, key] = run(operator, run_id=key, partition_key=key)
        with world.ledger() as ledger:
            assert ledger.versions.list("rides") == []
            assert ledger.quarantine.list() == []


def test_the_two_groups_make_a_dag(world: World) -> None:
    contract = str(world.folder / "rides.yml")
    with DAG("rides_quarantine", schedule=None) as dag:
        write_audit_publish(RIDES, contract=contract, path=write_batch(world.folder, bad=5))
    with DAG("rides_replay", schedule=None, params={"quarantine": None}) as replay:
        replay_quarantine(RIDES, contract=contract, quarantine="{{ params.quarantine }}", repair_sql=REPAIR)
    results: dict[str, Any] = {}
    for task in (*dag.topological_sort(), *replay.topological_sort()):
        operator: Any = task
        if "quarantine" in operator.template_fields:
            operator.quarantine = ""
        if "staged" in operator.template_fields:
            operator.staged = results[operator.task_id.rpartition(".")[0]]
        result = run(operator, partition_key=KEY)
        results.setdefault(operator.task_id.rpartition(".")[0], result)
    with world.ledger() as ledger:
        assert [v.rows for v in ledger.versions.list("rides")] == [200, 195]
        assert ledger.quarantine.get(1).state == "replayed"
