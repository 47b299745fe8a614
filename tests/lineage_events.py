"""OpenLineage events as short calls, for tests of the graph."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.recorded import record

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

SERVER = "postgres://db:5432"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def moment(minutes: float) -> datetime:
    return EPOCH + timedelta(minutes=minutes)


def table(name: str, **facets: Any) -> dict[str, Any]:
    """A table of the shop database; keyword arguments are facets."""
    return {"namespace": SERVER, "name": f"shop.public.{name}", "facets": facets}


def out(name: str, *, rows: int | None = None, **facets: Any) -> dict[str, Any]:
    extra = {"outputFacets": {"outputStatistics": {"rowCount": rows}}} if rows is not None else {}
    return table(name, **facets) | extra


def schema(*columns: str) -> dict[str, Any]:
    return {"fields": [{"name": column, "type": "bigint"} for column in columns]}


def column_lineage(source: str, **columns: str) -> dict[str, Any]:
    """Every column of the target from one column of a source table."""
    return {
        "fields": {
            target: {"inputFields": [{"namespace": SERVER, "name": f"shop.public.{source}", "field": column}]}
            for target, column in columns.items()
        }
    }


def run_event(
    state: str,
    at: float,
    *,
    job: str = "etl.load",
    run_id: str = "r1",
    try_number: int = 1,
    map_index: int = -1,
    inputs: list[Any] | None = None,
    outputs: list[Any] | None = None,
    ol_run_id: str | None = None,
    airflow: bool = True,
    namespace: str = "airflow",
    **job_facets: Any,
) -> dict[str, Any]:
    dag, _, task = job.partition(".")
    same = f"{job}/{run_id}/{try_number}/{map_index}"
    facet = {
        "airflow": {
            "dag": {"dag_id": dag},
            "dagRun": {"run_id": run_id},
            "task": {"task_id": task},
            "taskInstance": {"try_number": try_number, "map_index": None if map_index < 0 else map_index},
        }
    }
    return {
        "eventType": state,
        "eventTime": moment(at).isoformat(),
        "producer": "https://example.com/test",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {
            "runId": ol_run_id or str(uuid.uuid5(uuid.NAMESPACE_URL, same)),
            "facets": facet if airflow else {},
        },
        "job": {"namespace": namespace, "name": job, "facets": job_facets},
        "inputs": inputs or [],
        "outputs": outputs or [],
    }


def put(connection: Connection, events: list[dict[str, Any]], *, source: Any = "transport") -> None:
    from airflow_dataml.adapters.postgres.events import PostgresEvents

    PostgresEvents(connection).add([record(event, source=source) for event in events])


def edges(connection: Connection) -> set[tuple[str, str]]:
    """Edges between versions, by name and number."""
    rows = connection.rows(
        """SELECT s.name || '@' || sv.number AS src, d.name || '@' || dv.number AS dst
           FROM dataml.edge e JOIN dataml.version sv ON sv.version_id = e.src_id
           JOIN dataml.asset s ON s.asset_id = sv.asset_id
           JOIN dataml.version dv ON dv.version_id = e.dst_id JOIN dataml.asset d ON d.asset_id = dv.asset_id"""
    )
    return {(short(row["src"]), short(row["dst"])) for row in rows}


def short(name: str) -> str:
    return name.removeprefix(f"{SERVER}/shop.public.")


def column_edges(connection: Connection) -> set[tuple[str, str]]:
    rows = connection.rows(
        """SELECT s.name || '.' || c.src_column AS src, d.name || '.' || c.dst_column AS dst FROM dataml.column_edge c
           JOIN dataml.asset s ON s.asset_id = c.src JOIN dataml.asset d ON d.asset_id = c.dst"""
    )
    return {(short(row["src"]), short(row["dst"])) for row in rows}
