"""Lineage of a job Airflow did not run, and delivery of everybody's events to the backends.

A nightly export runs on a machine of its own; this DAG tells the ledger of it, so that the graph does not end at
its door. The second task carries events on, from the spool into the ledger, into the graph and to the backends of
``[dataml] lineage_backends``; a deployment runs it every few minutes, or lets the triggerer drain for good:
``AssetWatcher(name="drain", trigger=LineageDrainTrigger())``.
"""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_dataml.operators.lineage import LineageDrainOperator, LineageEmitOperator

PRODUCER = "https://example.com/exports/1.0"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
# The export's own id of its run; the same in both events, and in a retry.
RUN_ID = "{{ macros.uuid.uuid5(macros.uuid.NAMESPACE_URL, 'exports/flights/' ~ run_id) }}"


def event(state: str, moment: str) -> dict[str, object]:
    """What the export would have said itself."""
    return {
        "eventType": state,
        "eventTime": moment,
        "run": {"runId": RUN_ID, "facets": {}},
        "job": {"namespace": "exports", "name": "flights_to_lake", "facets": {}},
        "inputs": [{"namespace": "postgres://warehouse:5432", "name": "shop.public.flights", "facets": {}}],
        "outputs": [{"namespace": "s3://lake", "name": "flights/daily", "facets": {}}],
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
    }


with DAG("lineage_external", schedule=None, catchup=False, tags=["dataml", "lineage"]):
    tell = LineageEmitOperator(
        task_id="tell",
        events=[
            event("START", "{{ dag_run.run_after.isoformat() }}"),
            event(
                "COMPLETE",
                "{{ (dag_run.run_after + macros.timedelta(minutes=3)).isoformat() }}",
            ),
        ],
    )
    drain = LineageDrainOperator(task_id="drain")
    tell >> drain
