"""What a Spark job that runs elsewhere tells of itself: OpenLineage events, as its own listener would send them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

LAKE = ("s3://lake", "spark/flights")
# What OpenLineage calls the demo's database: a server reached by a socket is this machine.
WAREHOUSE = ("postgres://localhost:5432", "dataml.public")
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_COLUMNS = ("year", "month", "day", "origin", "dest", "arr_delay")


def spark_events(ended: datetime | None = None) -> list[dict[str, Any]]:
    """Return start and end of a job that copies flights into a lake.

    :param ended: when it ended; now unless given.
    """
    end = ended or datetime.now(UTC)
    return [_event("START", end - timedelta(seconds=40)), _event("COMPLETE", end)]


def _event(state: str, at: datetime) -> dict[str, Any]:
    namespace, schema = WAREHOUSE
    flights = {"namespace": namespace, "name": f"{schema}.flights"}
    columns = {c: {"inputFields": [{**flights, "field": c}]} for c in _COLUMNS}
    lineage = {
        "_producer": "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/spark",
        "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
        "fields": columns,
    }
    return {
        "eventType": state,
        "eventTime": at.isoformat(),
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, "spark/flights_to_lake")), "facets": {}},
        "job": {"namespace": "spark", "name": "flights_to_lake", "facets": {}},
        "inputs": [{**flights, "facets": {}}],
        "outputs": [{"namespace": LAKE[0], "name": LAKE[1], "facets": {"columnLineage": lineage}}],
        "producer": "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/integration/spark",
        "schemaURL": _SPEC,
    }
