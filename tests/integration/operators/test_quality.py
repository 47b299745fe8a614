"""The quality check operator: a batch, a version or any table; its evidence, its event and its lineage."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.assets import external
from airflow_dataml.core.errors import (
    BackendError,
    ContractError,
    QualityGateError,
    SpecError,
    VersionNotFoundError,
)
from airflow_dataml.operators.datasets import DatasetPublishOperator, DatasetStageOperator
from airflow_dataml.operators.places import Database
from airflow_dataml.operators.quality import QualityCheckOperator
from tests.integration.operators.harness import RIDES, batch, context, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.operators.world import World

KEY = "airflow.dataquality.result"
ORDERS = """
dataset: w/db/public/orders
columns:
  - {name: id, checks: [{missing: {}}, {duplicate: {}}]}
  - name: state
    valid_values: [new, paid]
    checks: [{invalid: {threshold: {level: warn, metric: percent, must_be_less_than: 1}}}]
checks: [{row_count: {}}]
"""


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()


@pytest.fixture
def published(world: World) -> World:
    """One month of rides that readers see, never checked."""
    publish(world, 1)
    return world


def publish(world: World, month: int, *, check: bool = False) -> dict[str, Any]:
    key, contract = f"2026-{month:02d}", str(world.folder / "rides.yml")
    path = str(batch(world.folder / f"{key}.csv", month=month, rows=200))
    stage = DatasetStageOperator(task_id="stage", dataset=RIDES, path=path, contract=contract, mode="append")
    staged = run(stage, run_id=key, partition_key=key)
    if check:
        audit = QualityCheckOperator(task_id="audit", dataset=RIDES, staged=staged, contract=contract)
        run(audit, run_id=key, partition_key=key)
    operator = DatasetPublishOperator(task_id="publish", dataset=RIDES, staged=staged, require_check=check)
    said = context("publish", run_id=key, partition_key=key)
    operator.execute(said)
    extra: dict[str, Any] = said["outlet_events"].extras["rides"]
    return extra


def orders(world: World, *rows: tuple[int | None, str]) -> None:
    with world.ledger() as ledger:
        ledger.connection.execute("CREATE TABLE public.orders (id int, state text)")
        for row in rows:
            ledger.connection.execute("INSERT INTO public.orders VALUES (%s, %s)", row)


def check(world: World, **said: Any) -> QualityCheckOperator:
    contract = str(world.folder / "rides.yml")
    return QualityCheckOperator(task_id="check", **({"contract": contract} | said))


class TestVersion:
    def test_what_readers_see_is_verified_and_the_report_is_the_version_s(self, published: World) -> None:
        found = run(check(published, dataset=RIDES))
        assert (found["version"], found["verdict"]) == ("rides@1", "pass")
        with published.ledger() as ledger:
            report = ledger.reports.get(found["report"])
            assert report.version_id == ledger.versions.find("rides@1").version_id
            assert (report.body["scope"], report.body["engine"]) == ("version", "native")

    def test_any_retained_version_can_be_named(self, published: World) -> None:
        publish(published, 2)
        found = run(check(published, dataset=RIDES, version="rides@1"))
        assert found["version"] == "rides@1"
        assert "200 rows" in found["summary"]

    def test_another_dataset_s_version_is_refused(self, published: World) -> None:
        with pytest.raises(SpecError, match=r"'flights@1' is not one of 'rides': write rides@<number>"):
            run(check(published, dataset=RIDES, version="flights@1"))

    def test_a_version_that_is_not_there_gets_a_hint(self, published: World) -> None:
        with pytest.raises(VersionNotFoundError, match="rides@1"):
            run(check(published, dataset=RIDES, version="rides@9"))

    def test_a_broken_contract_opens_an_incident_and_links_the_report(self, published: World) -> None:
        contract = (
            (published.folder / "rides.yml").read_text().replace("must_be_greater_than: 10", "must_be: 7")
        )
        said = context("check")
        with pytest.raises(
            QualityGateError, match=r"rides@1 broke its contract \(report 1\).*Readers see it still"
        ):
            check(published, dataset=RIDES, contract=contract).execute(said)
        assert said["ti"].pushed["dataml_link"] == "asset/rides?report=1"
        with published.ledger() as ledger:
            [incident] = ledger.incidents.list(asset="rides")
        assert (incident.title, incident.state) == ("rides@1 broke its contract", "new")

    def test_a_later_pass_ends_the_incident(self, published: World) -> None:
        contract = (
            (published.folder / "rides.yml").read_text().replace("must_be_greater_than: 10", "must_be: 7")
        )
        with pytest.raises(QualityGateError):
            run(check(published, dataset=RIDES, contract=contract))
        run(check(published, dataset=RIDES), run_id="r2")
        with published.ledger() as ledger:
            [incident] = ledger.incidents.list(asset="rides")
        assert incident.state == "resolved"
        assert incident.resolution == "rides@1 was verified again and holds (report 2)"

    def test_a_retry_adopts_the_report_and_clearing_looks_again(self, published: World) -> None:
        operator = check(published, dataset=RIDES)
        reports = []
        for tries in (1, 1, 2):
            said = context("check")
            said["ti"].max_tries = tries
            reports.append(operator.execute(said)["report"])
        assert reports == [1, 1, 2]

    @pytest.mark.slow
    def test_soda_says_the_same(self, published: World) -> None:
        verdicts = {
            engine: run(check(published, dataset=RIDES, engine=engine), run_id=engine)["summary"]
            for engine in ("native", "soda")
        }
        assert verdicts["native"] == verdicts["soda"]

    def test_on_fail_may_be_decided_by_the_dag(self, published: World) -> None:
        contract = (
            (published.folder / "rides.yml").read_text().replace("must_be_greater_than: 10", "must_be: 7")
        )
        assert run(check(published, dataset=RIDES, contract=contract, on_fail="warn"))["verdict"] == "warn"


class TestTable:
    def test_a_table_nobody_publishes_here_enters_the_catalog(self, world: World) -> None:
        orders(world, (1, "new"), (2, "paid"))
        found = run(check(world, table="public.orders", contract=ORDERS))
        with world.ledger() as ledger:
            asset, report = ledger.assets.get("orders"), ledger.reports.get(found["report"])
        assert (asset["kind"], asset["location"]["table"]) == ("external", "public.orders")
        assert (report.asset, report.verdict, report.version_id) == ("orders", "pass", None)

    def test_an_external_asset_is_its_table(self, world: World) -> None:
        orders(world, (1, "new"))
        found = run(check(world, dataset=external("web_orders", table="public.orders"), contract=ORDERS))
        with world.ledger() as ledger:
            assert ledger.reports.get(found["report"]).asset == "web_orders"

    def test_a_table_of_another_database_is_read_there(
        self, world: World, make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orders(world, (1, "new"), (1, "new"))
        info = conninfo_to_dict(world.dsn)
        fields = {
            "host": info["host"],
            "login": info["user"],
            "schema": info["dbname"],
            "conn_type": "postgres",
        }
        other = make_world()
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))
        with pytest.raises(QualityGateError, match=r"public.orders broke its contract"):
            run(check(other, table="public.orders", conn_id="shop", contract=ORDERS))
        with other.ledger() as ledger:
            assert ledger.assets.get("orders")["location"] == {"table": "public.orders", "conn_id": "shop"}

    def test_a_table_that_is_a_dataset_is_pointed_at(self, published: World) -> None:
        with pytest.raises(
            SpecError, match=r"public.rides is the dataset 'rides': write dataset=... instead"
        ):
            run(check(published, table="public.rides"))

    @pytest.mark.parametrize(
        ("rows", "words"),
        [((), "the table is empty"), (((None, "new"),), "missing"), (((1, "new"), (1, "paid")), "id")],
        ids=["no row", "missing", "duplicate"],
    )
    def test_what_does_not_hold_fails_and_names_the_check(
        self, world: World, rows: tuple[tuple[int | None, str], ...], words: str
    ) -> None:
        orders(world, *rows)
        with pytest.raises(QualityGateError, match=words):
            run(check(world, table="public.orders", contract=ORDERS))

    def test_a_table_that_is_not_there_is_an_error_and_tried_again(self, world: World) -> None:
        with pytest.raises(QualityGateError, match=r"there is no table or view public\.orders"):
            run(check(world, table="public.orders", contract=ORDERS))
        orders(world, (1, "new"))
        assert run(check(world, table="public.orders", contract=ORDERS))["verdict"] == "pass"

    def test_a_check_that_cannot_be_evaluated_is_no_pass(self, world: World) -> None:
        orders(world, (1, "new"))
        contract = ORDERS.replace(
            "checks: [{row_count: {}}]", "checks: [{failed_rows: {expression: gone > 1}}]"
        )
        with pytest.raises(QualityGateError) as refused:
            run(check(world, table="public.orders", contract=contract))
        assert refused.value.report["verdict"] == "error"

    def test_what_only_versions_have_is_refused(self, world: World) -> None:
        orders(world, (1, "new"))
        contract = ORDERS + "x-dataml: {anomalies: [{metric: row_count}]}\n"
        with pytest.raises(ContractError, match=r"public.orders has none: take snapshots of it"):
            run(check(world, table="public.orders", contract=contract))

    def test_a_database_that_does_not_answer_is_no_verdict(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "schema": "x"}
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))
        with pytest.raises(BackendError, match="did not answer"):
            run(check(world, table="public.orders", conn_id="shop", contract=ORDERS))
        with world.ledger() as ledger:
            assert ledger.connection.scalar("SELECT count(*) FROM dataml.report") == 0


class TestSaid:
    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({}, "is given nothing to verify"),
            ({"table": "public.a", "dataset": RIDES}, "is given dataset and table to verify"),
            ({"staged": {}}, "is given staged to verify"),
            ({"dataset": RIDES, "staged": {}, "version": "rides@1"}, "dataset and staged and version"),
            ({"dataset": RIDES, "conn_id": "shop"}, "conn_id='shop' goes with table"),
            (
                {"dataset": RIDES, "engine": "great"},
                "engine 'great' is unknown: write one of auto, native, soda",
            ),
            ({"dataset": RIDES, "data_timestamp": "noon"}, "'noon' is not an ISO time"),
        ],
        ids=["nothing", "two", "no dataset", "three", "connection", "engine", "time"],
    )
    def test_what_does_not_go_together_is_refused(
        self, published: World, said: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(SpecError, match=words):
            run(check(published, **said))
        with published.ledger() as ledger:
            assert ledger.connection.scalar("SELECT count(*) FROM dataml.report") == 0

    def test_variables_reach_the_contract(self, published: World) -> None:
        contract = (
            (published.folder / "rides.yml")
            .read_text()
            .replace("must_be_greater_than: 10", "must_be: '${var.rows}'")
        )
        contract += "variables: {rows: {type: number}}\n"
        assert (
            run(check(published, dataset=RIDES, contract=contract, variables={"rows": "200"}))["verdict"]
            == "pass"
        )


class TestEvent:
    def test_a_publication_carries_what_its_checks_found(self, world: World) -> None:
        extra = publish(world, 1, check=True)
        assert extra["dataml"]["version"] == "rides@1"
        assert {name: extra[KEY][name] for name in ("score", "verdict", "passed", "failed", "report")} == {
            "score": 1.0, "verdict": "pass", "passed": 7, "failed": 0, "report": 1,
        }  # fmt: skip

    def test_a_publication_that_was_not_checked_says_nothing_of_quality(self, world: World) -> None:
        assert KEY not in publish(world, 1)

    def test_a_verified_version_among_the_outlets_says_so(self, published: World) -> None:
        said = context("check")
        check(published, dataset=RIDES, outlets=[RIDES]).execute(said)
        extra = said["outlet_events"].extras["rides"]
        assert (extra["dataml"]["version"], extra[KEY]["score"]) == ("rides@1", 1.0)

    def test_without_outlet_there_is_no_event(self, published: World) -> None:
        said = context("check")
        check(published, dataset=RIDES).execute(said)
        assert said["outlet_events"].extras == {}

    def test_a_warning_costs_a_quarter_of_a_check(self, world: World) -> None:
        orders(world, (1, "lost"))
        asset = external("orders", table="public.orders")
        said = context("check")
        check(world, dataset=asset, contract=ORDERS, outlets=[asset]).execute(said)
        summary = said["outlet_events"].extras["orders"][KEY]
        assert (summary["warned"], summary["score"], summary["verdict"]) == (1, 0.95, "warn")

    def test_airflow_s_own_gate_finds_the_score_where_it_looks(self, world: World) -> None:
        extra = publish(world, 1, check=True)
        score = extra.get(KEY, {}).get("score")
        assert isinstance(score, float)
        assert not isinstance(score, bool)


class TestLineage:
    def facets(self, world: World, operator: QualityCheckOperator) -> Any:
        from airflow.providers.openlineage.extractors.base import DefaultExtractor

        lineage = DefaultExtractor(operator).extract_on_failure(context("check")["ti"])
        assert lineage is not None
        [table] = lineage.inputs
        return table

    @pytest.mark.parametrize(
        "said", [{"dataset": RIDES}, {"table": "public.orders", "contract": ORDERS}], ids=["version", "table"]
    )
    def test_checks_become_assertions_of_the_dataset(self, published: World, said: dict[str, Any]) -> None:
        orders(published, (1, "new"))
        operator = check(published, **said)
        run(operator)
        table = self.facets(published, operator)
        name = "rides" if "dataset" in said else "orders"
        database = Database.of(published.dsn)
        assert table.name == f"{database.name}.public.{name}"
        # A server reached by a socket is this machine.
        assert table.namespace == "postgres://localhost:5432"
        assertions = table.inputFacets["dataQualityAssertions"].assertions
        assert all(assertion["success"] for assertion in assertions)
        assert {(a["assertion"], a.get("column")) for a in assertions} >= {
            ("missing", "id"),
            ("duplicate", "id"),
        }

    def test_a_failed_gate_tells_what_failed(self, world: World) -> None:
        orders(world, (1, "new"), (1, "lost"))
        operator = check(world, table="public.orders", contract=ORDERS)
        with pytest.raises(QualityGateError):
            run(operator)
        found = {
            a["assertion"]: a
            for a in self.facets(world, operator).inputFacets["dataQualityAssertions"].assertions
        }
        assert (found["duplicate"]["success"], found["duplicate"]["severity"]) == (False, "error")
        assert (found["invalid"]["success"], found["invalid"]["severity"]) == (False, "warn")
        assert (found["invalid"]["actual"], found["missing"]["success"]) == ("50.0", True)

    def test_the_name_is_the_one_airflow_s_own_sql_operators_give(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields = {"conn_type": "postgres", "host": "db.example.com", "port": 5433, "schema": "shop"}
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))
        operator = check(world, table="sales.orders", conn_id="shop", contract=ORDERS)
        hook = operator.get_db_hook()
        info = hook.get_openlineage_database_info(hook.get_connection("shop"))
        [table] = operator.get_openlineage_facets_on_start().inputs
        assert table.namespace == f"{info.scheme}://{info.authority}"
        assert table.name == "shop.sales.orders"


def test_a_task_that_is_killed_stops_the_engine_in_the_database(world: World) -> None:
    orders(world, (1, "new"))
    slow = ORDERS.replace("{row_count: {}}", '{failed_rows: {query: "SELECT pg_sleep(60)"}}')
    operator = check(world, table="public.orders", contract=slow)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            run(operator)
        except QualityGateError as err:
            ended.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    with Connection(world.dsn) as watcher:
        deadline = time.monotonic() + 20
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        while not watcher.scalar(sleeping) and time.monotonic() < deadline:
            thread.join(0.05)
        operator.on_kill()
        thread.join(10)
    assert not thread.is_alive()
    assert [err.report["verdict"] for err in ended] == ["error"]
