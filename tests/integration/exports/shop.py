"""A ledger with one of everything that can be exported, some of it with names nobody should choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.catalog import AssetEntry, ColumnDoc
from airflow_dataml.core.column_lineage import ColumnMap
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.core.runs import digest_of
from airflow_dataml.core.stores import Rows
from airflow_dataml.steps.ingest import Target, stage_query, stage_source
from airflow_dataml.steps.publish import place_of, publish_part
from tests.support import identity

if TYPE_CHECKING:
    from airflow_dataml.core.datasets import Version

SECRET = "hunter2-s3cr3t"
ODD = ('a"b', "it's", "two words", " ", "ünïcödé", "é" * 31 + "x", "select", "new\nline", "tab\t", "🚲", "UPPER",
       "{curly} {0}", "$1", "\\back\\", "a.b", "a,b", "a/b", "a(b)", "a::b", "a>b", "%s", "<b>", "id", "#", "?x=1&y")  # fmt: skip
TYPES = {
    "a smallint": "1::smallint", "an integer": "2", "a bigint": "3::bigint", "a real": "1.5::real",
    "a double": "'NaN'::double precision", "a numeric": "12.34::numeric(10,2)", "any numeric": "1e30::numeric",
    "a boolean": "true", "a date": "date '2026-01-31'", "a time": "time '10:00:01.5'", "a timetz": "timetz '10:00+02'",
    "a timestamp": "timestamp '2026-01-31 10:00'", "a timestamptz": "timestamptz '2026-01-31 10:00+02'",
    "an interval": "interval '1 day 2 hours'", "a text": "E'two\\nlines, \"quoted\"'::text", "a varchar": "'x'::varchar(20)",
    "a char": "'y'::char(3)", "bytes": "'\\x00ff'::bytea", "a uuid": "'0b0b7d6a-0f6f-4a3e-8b69-0d4c3a1c9f00'::uuid",
    "a json": "'[1, null]'::json", "a jsonb": "'{\"a\": {\"b\": 1}}'::jsonb", "integers": "ARRAY[1, 2]",
    "texts": "ARRAY['a', NULL]", "numerics": "ARRAY[1.5::numeric(4,1)]", "an inet": "inet '10.0.0.1'", "a cidr": "cidr '10.0.0.0/8'",
    "a range": "int4range(1, 5)", "a point": "point '(1,2)'", "a money": "5::money", "a null": "NULL::integer", "empty": "''::text",
}  # fmt: skip
RIDES = (
    Column("id", "integer"),
    Column("kind", "text"),
    Column("km", "double precision"),
    Column("rider", "text"),
)
RIDE_ROWS = [
    (1, "bike", 2.5, "ann@example.com"),
    (2, None, 3.25, "bob@example.com"),
    (3, 'tram, "late"', 1e-9, "ünï"),
]


def fill(dsn: str) -> None:
    """Migrate a database and write datasets of every type and odd name, a model, predictions and what others own."""
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger:
        Shop(ledger).open()


class Shop:
    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.runs = 0

    def open(self) -> None:
        self._declare()
        rides = self.rows("rides", RIDES, RIDE_ROWS)
        run = self.ledger.runs.begin(self.identity("check"), input_digest="check")
        self.ledger.reports.add(
            run=run, fact=run.fact("rides"), kind="check", verdict="pass", version_id=rides.version_id,
            body={"checks": [], "mask": ["rider"]},
        )  # fmt: skip
        self.query(
            "ride_features",
            "SELECT id, upper(kind) AS kind, km * 1.6 AS miles FROM rides",
            {"rides": "rides"},
        )
        self.rows(
            "odd",
            tuple(Column(name, "text") for name in ODD),
            [tuple(f"{n}{i}" for i in range(len(ODD))) for n in "ab"],
        )
        self.query("types", "SELECT " + ", ".join(f'{sql} AS "{name}"' for name, sql in TYPES.items()), {})
        self._model(rides)
        self._foreign()

    def identity(self, task):
        self.runs += 1
        return identity(task, f"run{self.runs}")

    def rows(self, name: str, columns, rows) -> Version:
        staged = stage_source(
            ledger=self.ledger, store=self.ledger.store, identity=self.identity("stage"), target=Target(name, "replace"),
            source=Rows(columns, [list(rows)]), digest=digest_of(rows=[list(map(str, r)) for r in rows]), origin="rows",
        )  # fmt: skip
        return self.publish(name, staged)

    def query(self, name: str, sql: str, inputs) -> Version:
        staged = stage_query(
            ledger=self.ledger, store=self.ledger.store, identity=self.identity("stage"), target=Target(name, "replace"),
            query=sql, inputs=inputs,
        )  # fmt: skip
        return self.publish(name, staged)

    def publish(self, name: str, staged) -> Version:
        return publish_part(
            ledger=self.ledger, store=self.ledger.store, identity=self.identity("publish"), staged=staged,
            place=place_of(self.ledger, name, f"public.{name}", Layout()), require_check=False, allow_breaking=True,
        )  # fmt: skip

    def _declare(self) -> None:
        said = AssetEntry(
            "rides", "dataset", "dataml://dataset/rides", owner="ann", description="Every ride, once.",
            documentation="# Rides\n\nAll of them, \"quoted\" <b>and</b> bold.", importance="critical", tags=("taxi", "a,b"),
            terms=("Ride",), domain="mobility", asset_group="core", freshness_s=86400, location={"table": "public.rides"},
            column_docs=(ColumnDoc("id", "Its number.", ("key",), ("Number",)), ColumnDoc("kind", "By what.")),
        )  # fmt: skip
        plain = [
            AssetEntry(name, "dataset", f"dataml://dataset/{name}", location={"table": f"public.{name}"})
            for name in ("ride_features", "odd", "types")
        ]
        for entry in (said, *plain):
            self.ledger.assets.enter(entry)

    def _model(self, rides: Version) -> None:
        run = self.ledger.runs.begin(self.identity("train"), input_digest="train")
        facts = {
            "plan": {"version": rides.ref},
            "spec": {"model": "ride_late", "task": "binary", "target": "late", "features": [{"name": "km"}, {"name": "kind"}],
                     "max_epochs": 2, "learning_rate": 0.01},
            "training": {"metrics": {"loss": 0.25, "auc": 0.9}},
            "registry": {"version": 1, "run_id": "abc", "source": f"models:/m-1?token={SECRET}"},
        }  # fmt: skip
        self.ledger.assets.enter(
            AssetEntry("ride_late", "model", "dataml://model/ride_late", owner="bob", tags=("taxi",), aliases=(("mlflow://mlflow:5000", "models/ride_late"),))
        )  # fmt: skip
        version = self.ledger.versions.add(run=run, fact=run.fact("ride_late"), facts=facts)
        self.ledger.versions.move_alias(
            asset="ride_late", name="champion", version_id=version.version_id, run=run
        )
        used = ColumnMap.declared([("km", "km")])
        self.ledger.lineage.add(
            [Edge(version_node(rides.version_id), version_node(version.version_id), "trained_on", used)],
            run=run,
        )
        self.ledger.assets.enter(
            AssetEntry("ride_predictions", "prediction", "dataml://prediction/ride_predictions", location={"table": "public.ride_predictions"})
        )  # fmt: skip
        scores = self.rows(
            "ride_predictions",
            (Column("id", "integer"), Column("score", "double precision")),
            [(1, 0.5), (2, 0.25)],
        )
        self.ledger.lineage.add(
            [Edge(version_node(version.version_id), version_node(scores.version_id), "scored_by")], run=run
        )

    def _foreign(self) -> None:
        """What others own, known from crawls, lineage and people."""
        login = f"postgres://joe:{SECRET}@db.acme:5432/shop/public/orders"
        odd = "x" * 63
        entries = [
            AssetEntry("postgres://db.acme:5432/shop.public.orders", "external", login, subtype="table", source="crawled", owner="joe",
                       location={"relation": "public.orders", "conn_id": "shop_db", "extra": {"password": SECRET}},
                       columns=(Column("id", "bigint"), Column("paid", "numeric(8,2)")), aliases=(("postgres://db.acme:5432", "shop.public.orders"),)),
            AssetEntry(f"postgres://db.acme:5432/shop.{odd}.{odd}", "external", "postgres://db.acme", subtype="view", source="crawled",
                       location={"relation": f"{odd}.{odd}"}, columns=(Column("é" * 31, "text"),), aliases=(("postgres://db.acme:5432", f"shop.{odd}.{odd}"),)),
            AssetEntry("s3://lake/raw/a (1), b", "external", f"s3://key:{SECRET}@lake/raw/a (1), b?token={SECRET}", source="observed",
                       aliases=(("s3://lake", "raw/a (1), b"),)),
            AssetEntry("file//data/ö äü/🚲.csv", "external", "file:///data/ö äü/🚲.csv", subtype="file", source="observed",
                       columns=(Column("x", ""), ), aliases=(("file", "/data/ö äü/🚲.csv"),)),
            AssetEntry("kafka://k:9092/rides \"new\"", "external", "kafka://k:9092/rides", subtype="topic", source="observed",
                       aliases=(("kafka://k:9092", "rides \"new\""),)),
            AssetEntry("nobody knows\nwhat <this> is", "external", "weird thing", source="observed"),
            AssetEntry("gone", "external", "s3://lake/gone", source="observed", columns=()),
        ]  # fmt: skip
        for entry in entries:
            self.ledger.assets.enter(entry)
        with self.ledger.transaction():
            self.ledger.connection.execute(
                "INSERT INTO dataml.job (namespace, name) VALUES ('spark', 'load')"
            )
            self.ledger.connection.execute(
                """INSERT INTO dataml.column_map VALUES ('m1', '[["kind", "paid", "direct", "value"], ["", "id", "indirect", "filter"]]', 'facet', 0.5)"""
            )
            self.ledger.connection.execute(
                """INSERT INTO dataml.asset_edge (src, dst, job_id, first_at, last_at, column_map)
                   SELECT s.asset_id, d.asset_id, j.job_id, now(), now(), 'm1' FROM dataml.asset s, dataml.asset d, dataml.job j
                   WHERE s.name = 'postgres://db.acme:5432/shop.public.orders' AND d.name = 'rides'"""
            )
            self.ledger.connection.execute("UPDATE dataml.asset SET status = 'missing' WHERE name = 'gone'")
