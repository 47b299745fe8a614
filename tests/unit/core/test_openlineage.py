from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.openlineage import ColumnFlow, DatasetName, event_key, read_event
from tests.lineage_events import SERVER, column_lineage, out, run_event, schema, table

SALES = DatasetName(SERVER, "shop.public.sales")
ORDERS = DatasetName(SERVER, "shop.public.orders")


def test_a_run_event_with_everything() -> None:
    facets = {
        "schema": {
            "fields": [{"name": "a", "type": "struct", "fields": [{"name": "b", "description": "inside"}]}]
        },
        "version": {"datasetVersion": "7"},
        "symlinks": {"identifiers": [{"namespace": "glue", "name": "shop.sales", "type": "TABLE"}]},
        "datasetType": {"datasetType": "TABLE", "subType": "EXTERNAL"},
        "ownership": {"owners": [{"name": "team:data"}]},
        "documentation": {"description": "what was sold"},
        "tags": {
            "tags": [
                {"key": "pii", "value": "true"},
                {"key": "tier", "value": "gold"},
                {"key": "alias", "value": "candidate", "source": "DATAML"},
            ]
        },
        "lifecycleStateChange": {"lifecycleStateChange": "OVERWRITE"},
    }
    read = read_event(run_event("COMPLETE", 1, outputs=[out("sales", rows=3, **facets)])).outputs[0]
    assert [(c.name, c.type) for c in read.columns or ()] == [("a", "struct"), ("a.b", "unknown")]
    assert read.column_docs == (("a.b", "inside"),)
    assert (read.version, read.type, read.subtype, read.owner) == ("7", "TABLE", "EXTERNAL", "team:data")
    assert (read.documentation, read.tags, read.lifecycle) == (
        "what was sold",
        ("pii", "tier=gold"),
        "OVERWRITE",
    )
    assert (read.symlinks, read.stats) == ((DatasetName("glue", "shop.sales"),), {"rows": 3})


def test_who_it_is_of() -> None:
    event = run_event(
        "START", 0, try_number=2, map_index=4, jobType={"integration": "AIRFLOW", "processingType": "BATCH"}
    )
    event["run"]["facets"]["parent"] = {"run": {"runId": "p"}, "job": {"namespace": "n", "name": "etl"}}
    read = read_event(event)
    assert read.airflow is not None
    assert (str(read.airflow.task), read.airflow.try_number) == ("etl/r1/load/4", 2)
    assert read.parent is not None
    assert (read.parent.run_id, read.parent.job.name, read.integration) == ("p", "etl", "AIRFLOW")


def test_column_lineage_says_which_columns() -> None:
    facet = column_lineage("orders", total="amount")
    facet["dataset"] = [
        {
            "namespace": SERVER,
            "name": ORDERS.name,
            "field": "day",
            "transformations": [{"type": "INDIRECT", "subtype": "FILTER"}],
        }
    ]
    [claim] = read_event(run_event("COMPLETE", 1, outputs=[out("sales", columnLineage=facet)])).claims
    assert set(claim.columns) == {
        ColumnFlow(ORDERS, "amount", SALES, "total", "direct", "facet", 0.95),
        ColumnFlow(ORDERS, "day", SALES, "", "indirect", "facet", 0.95),
    }


def test_what_airflow_guessed_from_sql_is_hardly_believed() -> None:
    facet = column_lineage("orders", total="amount") | {
        "_producer": "https://github.com/apache/airflow/tree/x"
    }
    [claim] = read_event(run_event("COMPLETE", 1, outputs=[out("sales", columnLineage=facet)])).claims
    assert {flow.confidence for flow in claim.columns} == {0.12}


def test_the_lineage_facet_stands_for_column_lineage() -> None:
    explicit = {"inputs": [table("items") | {"type": "DATASET"}, {"type": "JOB"}], "fields": {"total": {"inputs": [table("items") | {"type": "DATASET", "field": "price"}]}}}  # fmt: skip
    event = run_event(
        "COMPLETE",
        1,
        outputs=[out("sales", lineage=explicit, columnLineage=column_lineage("orders", total="x"))],
    )
    [claim] = read_event(event).claims
    assert (claim.complete, [str(name) for name, _ in claim.sources]) == (
        True,
        [f"{SERVER}/shop.public.items"],
    )
    assert [(f.src_column, f.dst_column, f.method) for f in claim.columns] == [("price", "total", "declared")]


def test_an_empty_lineage_facet_says_that_nothing_went_in() -> None:
    [claim] = read_event(run_event("COMPLETE", 1, outputs=[out("sales", lineage={"inputs": []})])).claims
    assert (claim.complete, claim.sources) == (True, ())


def test_entries_of_a_job() -> None:
    entry = table("sales") | {"type": "DATASET", "inputs": [table("orders") | {"type": "DATASET"}]}
    [claim] = read_event(run_event("COMPLETE", 1, lineage={"entries": [entry, {"type": "JOB"}]})).claims
    assert (claim.dst, [name for name, _ in claim.sources]) == (SALES, [ORDERS])


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ([], "is an object, received list"),
        ({}, "has none of them"),
        ({"run": {"runId": "r"}, "job": {"namespace": "n", "name": "j"}}, "eventTime None is no time"),
        ({"eventTime": "2026-01-01T00:00:00Z", "run": {}, "job": {"namespace": "n", "name": "j"}}, "none of them|run has no runId"),
        ({"eventTime": "2026-01-01T00:00:00Z", "run": {"runId": "r"}, "job": {"name": "j"}}, "job has no namespace"),
        ({"eventTime": "2026-01-01T00:00:00Z", "dataset": {"name": "x"}}, "dataset has no namespace"),
        ({"eventTime": "2026-01-01T00:00:00Z", "run": {"runId": "r" * 300}, "job": {"namespace": "n", "name": "j"}}, "250 are the most"),
        ({"eventTime": "2026-01-01T00:00:00Z", "run": {"runId": "a\x00"}, "job": {"namespace": "n", "name": "j"}}, "no place for"),
    ],
    ids=["no-object", "empty", "no-time", "no-run-id", "no-namespace", "no-dataset", "too-long", "nul"],
)  # fmt: skip
def test_an_event_nothing_of_which_can_be_used(event: Any, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        read_event(event)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"inputs": 7}, "inputs is int, not a list: left out"),
        ({"inputs": [7]}, "inputs[0] is int, not an object: left out"),
        ({"outputs": [{"namespace": "n"}]}, "outputs[0] has no name: left out"),
        ({"eventType": "DONE"}, "eventType 'DONE' is none of START, RUNNING, COMPLETE, ABORT, FAIL, OTHER: read as OTHER"),
        ({"outputs": [out("x", lifecycleStateChange={"lifecycleStateChange": "EXPLODE"})]}, "outputs[0] changed to 'EXPLODE', which is none of ALTER, CREATE, DROP, OVERWRITE, RENAME, TRUNCATE"),
        ({"outputs": [out("x", schema={"fields": [{"type": "int"}]})]}, "outputs[0].schema.fields[0].name None is no column name: left out"),
        ({"outputs": [out("x", columnLineage={})]}, "outputs[0].columnLineage has no fields: left out"),
    ],
    ids=["no-list", "no-object", "no-name", "state", "lifecycle", "column", "column-lineage"],
)  # fmt: skip
def test_what_is_broken_is_said_and_the_rest_used(broken: dict[str, Any], problem: str) -> None:
    read = read_event(run_event("COMPLETE", 1, inputs=[table("orders")]) | broken)
    assert read.problems == (problem,)
    assert read.job is not None


def test_facets_that_are_no_objects_cost_nothing_else() -> None:
    event = run_event(
        "COMPLETE",
        1,
        outputs=[
            {**table("sales"), "facets": 3},
            table("x", schema=schema("a"), symlinks=[1], ownership="me"),
        ],
    )
    read = read_event(event)
    assert len(read.outputs) == 2
    assert read.outputs[1].columns


def test_a_key_is_the_content() -> None:
    one = run_event("START", 0)
    assert event_key(one) == event_key(dict(reversed(one.items())))
    assert event_key(one) != event_key(one | {"eventType": "OTHER"})
