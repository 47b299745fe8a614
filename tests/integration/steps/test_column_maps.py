"""Which columns of which version went into which column: written with the version, exact where it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.sqlglot import SqlglotParser
from airflow_dataml.core.datasets import CURRENT, Column
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.stores import MergeSpec
from airflow_dataml.steps import column_maps as steps
from airflow_dataml.steps.compact import compact
from airflow_dataml.steps.ingest import Target, stage_query
from airflow_dataml.steps.publish import place_of, publish_part
from tests.integration.steps.rides import Rides
from tests.support import declare, identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.column_lineage import QueryLineage
    from airflow_dataml.core.datasets import Version

QUERY = """
SELECT r.id, upper(r.kind) AS kind, CASE WHEN z.zone > 1 THEN r.km END AS km
FROM rides AS r JOIN zones AS z ON z.zone = r.id WHERE r.km > %(least)s
"""
RIDES = [
    ["", "id", "indirect", "join"],
    ["", "km", "indirect", "filter"],
    ["id", "id", "direct", "value"],
    ["kind", "kind", "direct", "value"],
    ["km", "km", "direct", "value"],
]
ZONES = [["", "zone", "indirect", "join"], ["km", "zone", "indirect", "condition"]]


@pytest.fixture(autouse=True)
def _inputs(ledger: PostgresLedger) -> None:
    Rides(ledger).write([(1, "bike", 2.5), (2, "car", 3.0)])
    Rides(ledger, "zones").write([(1,), (2,)], columns=(Column("zone", "integer"),))


def transform(
    ledger: PostgresLedger, query: str = QUERY, run: str = "1", *, mode: str = "replace", parser: Any = None
) -> Version:
    declare(ledger, "fast")
    merge = MergeSpec(("id",)) if mode == "merge" else None
    staged = stage_query(
        ledger=ledger,
        store=ledger.store,
        identity=identity("fast", run),
        target=Target("fast", mode, merge=merge, location="public.fast"),
        query=query,
        inputs={"rides": "rides", "zones": "zones"},
        parameters={"least": 1},
        parser=parser,
    )
    return publish_part(
        ledger=ledger,
        store=ledger.store,
        identity=identity("publish_fast", run),
        staged=staged,
        place=place_of(ledger, "fast", "public.fast", Layout()),
        require_check=False,
    )


def maps(ledger: PostgresLedger, version: Version) -> dict[str, tuple[list[list[str]], str, float]]:
    rows = ledger.connection.rows(
        """SELECT a.name, m.mapping, m.method, m.confidence FROM dataml.edge e
           JOIN dataml.version v ON v.version_id = e.src_id JOIN dataml.asset a USING (asset_id)
           JOIN dataml.column_map m USING (column_map) WHERE e.dst_id = %s""",
        [version.version_id],
    )
    return {row["name"]: (row["mapping"], row["method"], row["confidence"]) for row in rows}


def test_a_query_writes_its_columns_on_the_edges(ledger: PostgresLedger) -> None:
    found = maps(ledger, transform(ledger))
    assert found == {"rides": (RIDES, "analyzer", 1.0), "zones": (ZONES, "analyzer", 1.0)}


def test_one_mapping_however_often_it_is_run(ledger: PostgresLedger) -> None:
    for run in "123":
        transform(ledger, run=run)
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.column_map") == 2


def test_a_dataset_read_under_two_names_is_one_source(ledger: PostgresLedger) -> None:
    declare(ledger, "pairs")
    staged = stage_query(
        ledger=ledger,
        store=ledger.store,
        identity=identity("pairs"),
        target=Target("pairs", "replace"),
        query="SELECT x.id, y.kind FROM x JOIN y ON true",
        inputs={"x": "rides", "y": "rides"},
    )
    (found,) = ledger.columns.of_parts([staged.part_id]).values()
    assert found.mapping == [["id", "id", "direct", "value"], ["kind", "kind", "direct", "value"]]


def test_versions_that_share_a_part_share_what_it_was_made_from(ledger: PostgresLedger) -> None:
    first = transform(ledger, mode="append")
    second = transform(ledger, QUERY.replace("upper(r.kind)", "r.kind || z.zone"), run="2", mode="append")
    assert maps(ledger, first)["zones"][0] == ZONES
    both = maps(ledger, second)["zones"][0]
    assert ["kind", "zone", "direct", "value"] in both
    assert all(flow in both for flow in ZONES)


def test_a_part_written_anew_keeps_its_columns(ledger: PostgresLedger) -> None:
    transform(ledger, mode="merge")
    query = QUERY.replace("WHERE", "WHERE r.id = 1 AND").replace("upper(r.kind)", "'x'::text")
    merged = transform(ledger, query, run="2", mode="merge")
    assert ["kind", "kind", "direct", "value"] in maps(ledger, merged)["rides"][0]


def test_compaction_keeps_them(ledger: PostgresLedger) -> None:
    from airflow_dataml.core.retention import CompactionPolicy

    for run in "12":
        transform(ledger, run=run, mode="append")
    compacted = compact(
        ledger=ledger,
        store=ledger.store,
        identity=identity("compact"),
        place=place_of(ledger, "fast", "public.fast", Layout()),
        policy=CompactionPolicy(min_parts=2),
    )
    assert maps(ledger, compacted) == {"rides": (RIDES, "analyzer", 1.0), "zones": (ZONES, "analyzer", 1.0)}


class NoAnalysis:
    """A database that has no analysis to give."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self._columns = ledger.columns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._columns, name)

    def analyze(self, query: str, **_: object) -> QueryLineage:
        from airflow_dataml.core.errors import WarehouseError

        msg = f"no time for {query[:10]!r}."
        raise WarehouseError(msg)


@pytest.mark.parametrize(
    ("parser", "expected"),
    [
        (SqlglotParser(), {"rides": (RIDES, "sqlglot", 0.95), "zones": (ZONES, "sqlglot", 0.95)}),
        (None, {"rides": ([], "table", 0.3), "zones": ([], "table", 0.3)}),
    ],
    ids=["parser", "tables"],
)
def test_without_an_analysis_the_stage_goes_on(
    ledger: PostgresLedger, parser: Any, expected: Mapping[str, Sequence[object]]
) -> None:
    ledger.columns = NoAnalysis(ledger)  # type: ignore[assignment]  # as its port has it
    assert maps(ledger, transform(ledger, parser=parser)) == expected


def test_a_lock_does_not_hold_up_the_stage(ledger: PostgresLedger, ledger_dsn: str) -> None:
    from airflow_dataml.core.stores import Query

    with Connection(ledger_dsn) as other, other.transaction():
        other.execute("CREATE TABLE public.busy (x integer)")
        other.execute("LOCK TABLE dataml.asset IN ACCESS EXCLUSIVE MODE")
        found = steps.column_maps(
            ledger=ledger, query=Query("SELECT name FROM dataml.asset"), versions={}, parser=None
        )
    assert found == {}


def test_a_current_version_can_be_asked_for_its_columns(ledger: PostgresLedger) -> None:
    transform(ledger)
    version = ledger.versions.alias("fast", CURRENT)
    assert version is not None
    assert set(maps(ledger, version)) == {"rides", "zones"}
