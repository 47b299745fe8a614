from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from airflow_dataml.core.lineage_identity import foreign, identify
from airflow_dataml.core.lineage_runs import settle
from airflow_dataml.core.openlineage import DatasetName, read_event
from tests.lineage_events import column_lineage, out, run_event, table


def facts(*events: dict[str, Any]) -> Any:
    """Settle events in every order, and hold that it makes no difference."""
    read = [read_event(event) for event in events]
    found = [settle(order, asset_of=asset) for order in permutations(read)]
    assert all(one == found[0] for one in found)
    return found[0]


def asset(name: DatasetName) -> int:
    return ord(name.name[-1])


def flows(found: Any) -> set[str]:
    return {chr(flow.src) + chr(flow.dst) for flow in found.flows}


a, b, c, d = (table(name) for name in "abcd")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([run_event("COMPLETE", 1, inputs=[a, b], outputs=[c, d])], {"ac", "ad", "bc", "bd"}),
        ([run_event("START", 0, inputs=[a]), run_event("COMPLETE", 1, outputs=[b])], {"ab"}),
        ([run_event("RUNNING", 0, inputs=[a], outputs=[b]), run_event("COMPLETE", 1, inputs=[c], outputs=[d])], {"ab", "cd"}),
        ([run_event("START", 0, inputs=[a]), run_event("COMPLETE", 1, inputs=[c], outputs=[d])], {"ad", "cd"}),
        ([run_event("COMPLETE", 1, inputs=[a, b], outputs=[out("c", columnLineage=column_lineage("a", x="y")), d])], {"ac", "bc", "ad", "bd"}),
        ([run_event("COMPLETE", 1, inputs=[a, b], outputs=[out("c", columnLineage=column_lineage("a", x="y")), out("d", columnLineage=column_lineage("b", x="y"))])], {"ac", "bd"}),
        ([run_event("COMPLETE", 1, inputs=[a, b], outputs=[out("c", lineage={"inputs": [a | {"type": "DATASET"}]})])], {"ac"}),
        ([run_event("COMPLETE", 1, inputs=[a], outputs=[out("c", lineage={"inputs": []})])], set()),
        ([run_event("COMPLETE", 1, inputs=[a], outputs=[a])], {"aa"}),
        ([run_event("COMPLETE", 1, inputs=[a], outputs=[out("b", lifecycleStateChange={"lifecycleStateChange": "DROP"}), c])], {"ac"}),
        ([run_event("FAIL", 1, inputs=[a], outputs=[out("b", rows=1), c])], {"ab"}),
        ([run_event("START", 0, inputs=[a], outputs=[out("b", rows=9)]), run_event("FAIL", 1)], set()),
        ([run_event("ABORT", 1, inputs=[a], outputs=[b])], set()),
        ([run_event("FAIL", 1), run_event("COMPLETE", 2, inputs=[a], outputs=[b])], {"ab"}),
        ([run_event("RUNNING", 0, inputs=[a], outputs=[b])], set()),
        ([run_event("RUNNING", 0, inputs=[a], outputs=[b], jobType={"processingType": "STREAMING"})], {"ab"}),
        ([run_event("COMPLETE", 0, inputs=[a]), run_event("OTHER", 1, outputs=[b])], {"ab"}),
    ],
    ids=["product", "two-halves", "own-events", "lone-input", "unclaimed", "claimed", "explicit", "nothing", "in-place",
         "drop", "fail-wrote", "fail-start", "abort", "complete-wins", "running", "streaming", "other-after"],
)  # fmt: skip
def test_what_went_into_what(events: list[dict[str, Any]], expected: set[str]) -> None:
    assert flows(facts(*events)) == expected


def test_when_it_read_and_wrote() -> None:
    found = facts(
        run_event("START", 3, inputs=[a]), run_event("RUNNING", 4), run_event("COMPLETE", 5, outputs=[b])
    )
    assert (found.state, found.read_at.minute, found.written_at.minute) == ("COMPLETE", 3, 5)


class TestIdentity:
    def test_a_task_is_known_by_its_process(self) -> None:
        event = read_event(run_event("START", 0, airflow=False))
        known = {
            "dag_id": "etl",
            "run_id": "r9",
            "task_id": "load",
            "map_index": 2,
            "try_number": 3,
            "ti_id": "t",
        }
        found = identify(event, source="transport", task=known)
        assert (str(found.task), found.try_number, found.ti_id) == ("etl/r9/load/2", 3, "t")
        assert (found.dag_id, found.task_id, str(found.parent)) == ("etl", "load", "etl/r9//-1")

    def test_a_statement_of_a_task_is_its_child_and_the_same_when_tried_again(self) -> None:
        known = {"dag_id": "etl", "run_id": "r1", "task_id": "load", "try_number": 2}
        event = read_event(run_event("COMPLETE", 1, job="etl.load.query.1", airflow=False))
        found = identify(event, source="transport", task=known)
        assert (str(found.task), str(found.parent)) == ("etl/r1/load.query.1/-1", "etl/r1/load/-1")

    def test_what_else_a_task_starts_is_a_run_of_its_own(self) -> None:
        known = {"dag_id": "etl", "run_id": "r1", "task_id": "load"}
        event = read_event(
            run_event("START", 1, job="spark_app", airflow=False, namespace="spark", ol_run_id="x")
        )
        found = identify(event, source="transport", task=known)
        assert (str(found.task), str(found.parent)) == ("spark/x/spark_app/-1", "etl/r1/load/-1")

    def test_a_run_of_another_system_is_its_id(self) -> None:
        event = read_event(run_event("START", 0, airflow=False, namespace="spark", job="copy", ol_run_id="x"))
        assert str(identify(event, source="receiver").task) == "spark/x/copy/-1"

    def test_another_airflow_has_dags_of_its_own(self) -> None:
        event = read_event(run_event("START", 0, namespace="emea"))
        found = identify(event, source="receiver", task={"dag_id": "etl", "run_id": "r1", "task_id": "load"})
        assert (str(found.task), found.dag_id) == ("emea:etl/r1/load/-1", None)

    def test_its_things_are_not_ours_by_their_names(self) -> None:
        links = {"identifiers": [{"namespace": "dataml", "name": "dataset/rides", "type": "TABLE"}]}
        event = read_event(
            run_event("START", 0, outputs=[out("x", symlinks=links, dataml_version={"asset": "rides"})])
        )
        seen = foreign(event).outputs[0]
        assert (seen.symlinks, seen.facets) == ((), {})


def test_what_an_operator_of_ours_announced_and_did_not_do_was_not_written() -> None:
    ours = {
        "symlinks": {"identifiers": [{"namespace": "dataml", "name": "prediction/scores", "type": "TABLE"}]}
    }
    start = run_event("START", 1, inputs=[table("features")], outputs=[out("scores", **ours)])
    assert not facts(start, run_event("COMPLETE", 2, inputs=[table("features")])).writes
    assert facts(start, run_event("COMPLETE", 2, outputs=[out("scores", **ours)])).writes
