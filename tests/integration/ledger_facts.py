"""A small ledger with one of everything, written through the ports as the steps write it."""

from __future__ import annotations

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.core.stores import NewPart

COLUMNS = (Column("ride_id", "integer"), Column("fare", "double precision"))
CHECKS = [
    {
        "id": "1",
        "name": "missing(fare)",
        "verdict": "pass",
        "threshold": "= 0",
        "observed": 0,
        "detail": None,
    },
    {
        "id": "2",
        "name": "row_count",
        "verdict": "warn",
        "threshold": ">= 100",
        "observed": 90,
        "detail": None,
    },
    {
        "id": "3",
        "name": "duplicate(ride_id)",
        "verdict": "fail",
        "threshold": "= 0",
        "observed": 3,
        "detail": None,
    },
]


def fill(dsn: str) -> None:
    """Migrate a database and write two batches, a model trained on them, its judgement and an incident."""
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger, ledger.transaction():
        _batch(ledger, 1, verdict="pass")
        rides = _batch(ledger, 2, verdict="fail")
        add_model(ledger, rides)


def _run(ledger, task_id, run_id="scheduled__2013-01"):
    return ledger.runs.begin(RunIdentity(TaskKey("rides", run_id, task_id)), input_digest=task_id)


def _batch(ledger, number, *, verdict):
    run = _run(ledger, f"publish_{number}")
    fact = run.fact("rides")
    ledger.assets.register(
        name="rides", kind="dataset", uri="dataml://dataset/rides", owner="dataeng", tags=["taxi"],
        location={"table": "public.rides"},
    )  # fmt: skip
    part = ledger.versions.add_part(
        run=run,
        fact=fact,
        part=NewPart(
            locator=f"dataml_data.rides_{number}",
            columns=COLUMNS,
            fingerprint=Fingerprint(100, number, number),
            profile={"rows": 100},
            partition_key=f"2013-0{number}",
        ),
    )
    version = ledger.versions.add(
        run=run,
        fact=fact,
        parts=[part],
        columns=COLUMNS,
        partition_key=part.partition_key,
        facts={"part_id": part.part_id},
    )
    report = ledger.reports.add(
        run=run, fact=fact, kind="check", verdict=verdict, part_id=part.part_id,
        body={"summary": f"{verdict} on batch {number}", "checks": CHECKS if verdict == "fail" else CHECKS[:1]},
    )  # fmt: skip
    ledger.versions.move_alias(asset="rides", name="current", version_id=version.version_id, run=run)
    ledger.audit.add(action="publish", subject=version.ref, run=run, detail={"rows": 100})
    if verdict == "fail":
        ledger.incidents.open(
            asset="rides",
            kind="data",
            severity="high",
            title="batch 2 broke its contract",
            report_id=report.report_id,
        )
    return version


def add_model(ledger, rides):
    """Write a model that was trained on a version, with its judgement and the decision to promote it."""
    run = _run(ledger, "train")
    fact = run.fact("ride_demand")
    ledger.assets.register(name="ride_demand", kind="model", uri="dataml://model/ride_demand", owner="ds")
    facts = {
        "plan": {"version": rides.ref},
        "training": {"metrics": {"loss": 0.25}},
        "registry": {"version": 1},
        "score_cells": [[1, 2]],
    }
    version = ledger.versions.add(run=run, fact=fact, facts=facts)
    ledger.versions.move_alias(asset="ride_demand", name="champion", version_id=version.version_id, run=run)
    evaluation = ledger.reports.add(
        run=run, fact=fact, kind="evaluation", verdict="pass", version_id=version.version_id,
        body={"summary": "surely better", "challenger": {"loss": {"estimate": 0.25}}},
    )  # fmt: skip
    decision = ledger.reports.add(
        run=run, fact=fact, kind="decision", verdict="pass", version_id=version.version_id,
        body={"action": "promote", "reasons": ["surely better"], "facts": {}},
    )  # fmt: skip
    node = version_node(version.version_id)
    ledger.lineage.add(
        [
            Edge(version_node(rides.version_id), node, "trained_on"),
            Edge(version_node(rides.version_id), report_node(evaluation.report_id), "evaluated_on"),
            Edge(node, report_node(evaluation.report_id), "evaluated_on"),
            Edge(report_node(evaluation.report_id), report_node(decision.report_id), "reason"),
        ],
        run=run,
    )
    ledger.audit.add(action="promote", subject=version.ref, run=run, detail={})
    ledger.outbox.add(
        key="1/champion", topic="mlflow", ordering_key="ride_demand/champion", payload={"alias": "champion"}
    )
