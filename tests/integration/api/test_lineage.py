"""The graph as the page draws it: around a node, between two, at a time, by columns, and what it reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.migrate import migrate
from airflow_dataml.core.column_lineage import ColumnMap

pytestmark = pytest.mark.integration
START = datetime(2026, 3, 1, tzinfo=UTC)
KINDS = {"raw": "external", "clean": "dataset", "joined": "dataset", "churn": "model", "scores": "prediction"}
FLOWS = (
    ("raw", "clean"),
    ("clean", "joined"),
    ("joined", "churn"),
    ("joined", "scores"),
    ("churn", "scores"),
)
COLUMNS = {
    "clean": [["id", "bigint", 0], ["fare", "numeric", 0]],
    "raw": [["id", "bigint", 0], ["cents", "bigint", 0]],
}
MAP = ColumnMap((("fare", "cents", "direct", "value"), ("", "id", "indirect", "filter")), "sqlglot", 0.95)


class World:
    """A small graph written plainly: every asset has two versions, the second a day after the first."""

    def __init__(self, dsn: str) -> None:
        with Connection(dsn) as connection:
            migrate(connection)
        self.db = psycopg.connect(dsn, autocommit=True)
        self.asset: dict[str, int] = {}
        self.version: dict[tuple[str, int], int] = {}
        self.job = self._one(
            "INSERT INTO dataml.job (namespace, name) VALUES ('airflow', 'shop.load') RETURNING job_id"
        )
        self.run = self._one(
            """INSERT INTO dataml.run (dag_id, run_id, task_id, job_id) VALUES ('shop', 'r1', 'load', %s) RETURNING run_key""",
            self.job,
        )
        self._one(
            "INSERT INTO dataml.column_map VALUES (%s, %s, %s, %s) RETURNING 1",
            MAP.digest, Jsonb(MAP.mapping), MAP.method, MAP.confidence,
        )  # fmt: skip
        for name, kind in KINDS.items():
            self.add(name, kind)
        for n in (1, 2):
            for src, dst in FLOWS:
                self.join(src, dst, n)

    def _one(self, query, *values):
        return self.db.execute(query, values).fetchone()[0]

    def add(self, name, kind="dataset", versions=2):
        schema = None
        if name in COLUMNS:
            schema = (
                self._one(
                    "INSERT INTO dataml.schema_blob VALUES (%s, %s) RETURNING 1::text, schema_hash",
                    name,
                    Jsonb(COLUMNS[name]),
                )
                and name
            )
        self.asset[name] = self._one(
            """INSERT INTO dataml.asset (name, kind, uri, owner, source, schema_hash, tags, location)
               VALUES (%s, %s, %s, 'ana', 'declared', %s, '[]', '{}') RETURNING asset_id""",
            name, kind, f"dataml://{name}", schema,
        )  # fmt: skip
        for n in range(1, versions + 1):
            self.version[name, n] = self._one(
                """INSERT INTO dataml.version (asset_id, number, run_key, fact_key, created_at)
                   VALUES (%s, %s, %s, %s, %s) RETURNING version_id""",
                self.asset[name], n, self.run, f"{name}{n}", START + timedelta(days=n),
            )  # fmt: skip

    def join(self, src, dst, n=1):
        mapped = MAP.digest if (src, dst) == ("raw", "clean") else None
        at = START + timedelta(days=n)
        self.db.execute(
            """INSERT INTO dataml.edge (src, dst, kind, run_key, column_map, created_at)
               VALUES (%s, %s, 'derived', %s, %s, %s)""",
            [f"version:{self.version[src, n]}", f"version:{self.version[dst, n]}", self.run, mapped, at],
        )
        self.db.execute(
            """INSERT INTO dataml.asset_edge (src, dst, job_id, first_at, last_at, column_map, mapped_at)
               VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (src, dst, job_id) DO UPDATE SET last_at = excluded.last_at""",
            [self.asset[src], self.asset[dst], self.job, at, at, mapped, at if mapped else None],
        )
        for flow in MAP.mapping if mapped else ():
            self.db.execute(
                """INSERT INTO dataml.column_edge VALUES (%s, %s, %s, %s, %s, %s, 'sqlglot', 0.95, %s, %s)
                   ON CONFLICT (dst, dst_column, src, src_column, job_id, kind) DO UPDATE SET last_at = excluded.last_at""",
                [self.asset[src], flow[1], self.asset[dst], flow[0], self.job, flow[2], at, at],
            )


@pytest.fixture
def world(postgres_dsn):
    made = World(postgres_dsn)
    yield made
    made.db.close()


@pytest.fixture
def ask(world, client_on, postgres_dsn):
    client = client_on(postgres_dsn)

    def asked(path, status=200, **query):
        answer = client.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    return asked


def _names(graph):
    return {f"{node['asset']}@{node['number']}" for node in graph["nodes"]}


def _pairs(graph):
    name = {node["node"]: node["asset"] for node in graph["nodes"]}
    return sorted((name[edge["src"]], name[edge["dst"]]) for edge in graph["edges"])


class TestAround:
    def test_both_ways_with_facts_and_every_edge_between(self, ask):
        graph = ask("/graph", asset="joined", version=2)
        assert _names(graph) == {f"{name}@2" for name in KINDS}
        assert _pairs(graph) == sorted(FLOWS)
        depths = {node["asset"]: node["depth"] for node in graph["nodes"]}
        assert depths == {"raw": -2, "clean": -1, "joined": 0, "churn": 1, "scores": 1}
        joined = next(node for node in graph["nodes"] if node["asset"] == "joined")
        assert (joined["ups"], joined["downs"], joined["owner"], joined["job"], joined["dag_id"]) == (
            1, 2, "ana", "shop.load", "shop",
        )  # fmt: skip
        assert not graph["truncated"]

    @pytest.mark.parametrize(
        ("direction", "depth", "names"),
        [
            ("upstream", 1, {"joined", "clean"}),
            ("upstream", 5, {"joined", "clean", "raw"}),
            ("downstream", 5, {"joined", "churn", "scores"}),
            ("both", 1, {"clean", "joined", "churn", "scores"}),
        ],
    )
    def test_as_far_as_is_asked(self, ask, direction, depth, names):
        for by in ("version", "asset"):
            graph = ask("/graph", asset="joined", by=by, direction=direction, depth=depth)
            assert {node["asset"] for node in graph["nodes"]} == names

    def test_by_name_one_edge_says_how_often_and_by_whom(self, ask):
        graph = ask("/graph", asset="clean", by="asset", depth=1)
        [edge] = [e for e in graph["edges"] if e["mapped"]]
        assert edge["jobs"] == ["shop.load"]
        assert edge["at"] < edge["last_at"]

    def test_as_it_was_known_then(self, ask, world):
        world.add("late")
        world.join("joined", "late", 2)
        then = (START + timedelta(days=1, hours=1)).isoformat()
        assert "late" in {n["asset"] for n in ask("/graph", asset="joined", by="asset")["nodes"]}
        graph = ask("/graph", asset="joined", by="asset", at=then)
        assert {n["asset"] for n in graph["nodes"]} == set(KINDS)
        assert len(graph["moments"]) == 2

    def test_a_hub_is_cut_and_says_so(self, ask, world):
        for n in range(30):
            world.add(f"mart_{n:02}")
            world.join("joined", f"mart_{n:02}")
        by_fan = ask("/graph", asset="joined", by="asset", fan=10)
        assert by_fan["truncated"]
        assert sum(node["depth"] == 1 for node in by_fan["nodes"]) == 10
        by_room = ask("/graph", asset="joined", by="asset", limit=12)
        assert by_room["truncated"]
        assert len(by_room["nodes"]) == 12
        assert {"raw", "clean"} <= {node["asset"] for node in by_room["nodes"]}
        hub = next(node for node in by_room["nodes"] if node["asset"] == "joined")
        assert hub["downs"] == 32

    def test_ends_on_a_cycle_and_leaves_out_what_is_derived_from_itself(self, ask, world):
        world.join("scores", "raw")
        world.join("clean", "clean")
        graph = ask("/graph", asset="raw", by="asset", depth=50)
        assert {node["asset"] for node in graph["nodes"]} == set(KINDS)
        assert ("clean", "clean") not in _pairs(graph)

    @pytest.mark.parametrize(
        ("query", "status", "words"),
        [
            ({}, 422, "name an asset"),
            ({"node": "version:999"}, 404, "version:999 is not in the ledger"),
            ({"node": "asset:1"}, 422, "give version:17"),
            ({"node": "asset:x", "by": "asset"}, 422, "give asset:17"),
            ({"asset": "jioned"}, 404, "joined"),
        ],
        ids=["nothing", "gone", "of the other graph", "no number", "misspelt"],
    )
    def test_what_is_asked_wrongly_is_said(self, ask, query, status, words):
        assert words in str(ask("/graph", status, **query)["detail"])

    def test_a_version_of_any_name_by_number_or_alias(self, ask, world):
        name = "postgres://db:5432/shop.public.Orders"
        world.add(name, "external", versions=3)
        world.db.execute(
            "INSERT INTO dataml.alias (asset_id, name, version_id) VALUES (%s, 'current', %s)",
            [world.asset[name], world.version[name, 2]],
        )
        found = {
            version: ask("/graph", asset=name, **({"version": version} if version else {}))
            for version in (None, "1", "current")
        }
        assert {v: graph["nodes"][0]["number"] for v, graph in found.items()} == {
            None: 2,
            "1": 1,
            "current": 2,
        }
        assert "no version '9'" in ask("/graph", 404, asset=name, version="9")["detail"]

    def test_an_asset_without_a_version_is_drawn_by_name(self, ask, world):
        world.add("bare", "external", versions=0)
        ask("/graph", 404, asset="bare")
        [node] = ask("/graph", asset="bare", by="asset")["nodes"]
        assert (node["asset"], node["number"], node["dag_id"]) == ("bare", None, None)


class TestPath:
    def test_all_ways_between_and_nothing_else(self, ask):
        graph = ask("/graph/path", source_asset="clean", target_asset="scores", by="asset")
        assert {node["asset"] for node in graph["nodes"]} == {"clean", "joined", "churn", "scores"}

    def test_no_way_is_no_node(self, ask):
        graph = ask("/graph/path", source_asset="scores", target_asset="clean", by="asset")
        assert (graph["nodes"], graph["edges"]) == ([], [])

    def test_versions_by_node(self, ask, world):
        ends = {
            "source": f"version:{world.version['raw', 1]}",
            "target": f"version:{world.version['churn', 1]}",
        }
        assert _names(ask("/graph/path", **ends)) == {"raw@1", "clean@1", "joined@1", "churn@1"}


class TestImpact:
    @pytest.mark.parametrize("by", ["version", "asset"], ids=str)
    def test_counts_kinds_and_names_models_and_people(self, ask, by):
        found = ask("/graph/impact", asset="clean", by=by)
        assert {kind["kind"]: kind["assets"] for kind in found["kinds"]} == {
            "dataset": 1,
            "model": 1,
            "prediction": 1,
        }
        assert [(model["name"], model["steps"], model["owner"]) for model in found["models"]] == [
            ("churn", 2, "ana")
        ]
        assert found["owners"] == [{"owner": "ana", "assets": 3}]
        assert len(found["nodes"]) == 3

    def test_by_name_what_has_no_version_counts_too(self, ask, world):
        world.add("bare", "external", versions=0)
        world.db.execute(
            "INSERT INTO dataml.asset_edge VALUES (%s, %s, %s, now(), now())",
            [world.asset["scores"], world.asset["bare"], world.job],
        )
        found = ask("/graph/impact", asset="clean", by="asset")
        assert {"kind": "external", "assets": 1, "versions": None} in found["kinds"]
        assert found["owners"] == [{"owner": "ana", "assets": 4}]


class TestColumns:
    @pytest.mark.parametrize("by", ["version", "asset"], ids=str)
    def test_between_what_is_shown_with_method_and_confidence(self, ask, by):
        graph = ask("/graph", asset="clean", by=by, depth=1)
        found = ask("/graph/columns", by=by, nodes=",".join(node["node"] for node in graph["nodes"]))
        flows = [(f["src_column"], f["dst_column"], f["kind"], f["method"]) for f in found["flows"]]
        assert flows == [("id", "", "indirect", "sqlglot"), ("cents", "fare", "direct", "sqlglot")]
        assert found["flows"][0]["confidence"] == pytest.approx(0.95)
        columns = {one["node"]: [c["name"] for c in one["columns"]] for one in found["columns"]}
        assert sorted(columns.values()) == [["id", "cents"], ["id", "fare"]]

    @pytest.mark.parametrize("by", ["version", "asset"], ids=str)
    def test_one_column_is_followed(self, ask, by):
        found = ask("/graph/column", asset="clean", column="fare", by=by)
        assert {node["asset"] for node in found["nodes"]} == {"raw", "clean"}
        assert {(f["src_column"], f["dst_column"]) for f in found["flows"]} == {("cents", "fare"), ("id", "")}
        down = ask("/graph/column", asset="raw", column="cents", by=by, direction="downstream")
        assert {(f["src_column"], f["dst_column"]) for f in down["flows"]} == {("cents", "fare")}


class TestPulse:
    def test_a_ledger_without_events_is_at_rest(self, ask):
        found = ask("/delivery/pulse")
        assert found["projection"] == {
            "waiting": 0,
            "oldest_waiting": None,
            "lag_s": None,
            "newest_event": None,
        }
        assert found["backends"] == []
        assert found["spool"]["waiting"] == 0

    def test_says_how_far_the_graph_is_behind_and_what_became_of_events(self, ask, world):
        world.db.execute("""
            INSERT INTO dataml.lineage_backend (name, kind) VALUES ('marquez', 'http');
            INSERT INTO dataml.lineage_event (event_key, source, ordering_key, event_time, payload, received_at, state, error)
            SELECT 'e' || n, 'transport', 'run', now(), '{"job": {"namespace": "ns", "name": "load"}}',
                   now() - interval '1 minute', CASE n WHEN 1 THEN 'refused' ELSE 'new' END,
                   CASE n WHEN 1 THEN 'no job' END FROM generate_series(1, 60) n;
            INSERT INTO dataml.lineage_delivery (backend_id, event_id, ordering_key, event_time, state, delivered_at)
            SELECT backend_id, event_id, ordering_key, event_time, CASE event_id % 2 WHEN 0 THEN 'delivered' ELSE 'pending' END,
                   received_at + interval '5 s' FROM dataml.lineage_event, dataml.lineage_backend""")
        found = ask("/delivery/pulse")
        assert found["projection"]["waiting"] == 59
        assert found["projection"]["lag_s"] >= 60
        [backend] = found["backends"]
        assert (backend["name"], len(backend["bars"])) == ("marquez", 30)
        assert {(b["delivered"], b["pending"], b["took_s"]) for b in backend["bars"]} == {(1, 1, 5.0)}
        [refused] = ask("/delivery/refused")["items"]
        assert (refused["error"], refused["job_name"]) == ("no job", "load")
