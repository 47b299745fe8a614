"""What the API says of datasets, on a ledger that real steps filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.migrate import GRANTS, migrate
from airflow_dataml.api import views
from airflow_dataml.api.app import create_app
from airflow_dataml.core.retention import exclusive_bytes
from dev.embedded import ensure_database
from tests.integration.api.world import DAYS, fill_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def world_dsn(postgres_server: str) -> Iterator[str]:
    """A filled ledger for all tests of this file, which only read; its DSN is the reader role's."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    dsn = ensure_database(postgres_server, "api_world")
    with Connection(dsn) as connection:
        migrate(connection)
    with PostgresLedger.connect(dsn) as ledger:
        fill_world(ledger)
    roles = ("w_reader", "w_writer", "w_approver")
    with psycopg.connect(dsn, autocommit=True) as admin:
        for role in roles:
            admin.execute(f"DROP ROLE IF EXISTS {role}")
            admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(GRANTS.format(reader=roles[0], writer=roles[1], approver=roles[2]))
        yield make_conninfo(dsn, user=roles[0])
        for role in roles:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.fixture
def ledger(world_dsn: str) -> Iterator[PostgresLedger]:
    with PostgresLedger.connect(world_dsn) as opened:
        yield opened


@pytest.fixture
def get(world_dsn: str) -> Callable[..., Any]:
    create_auth_manager()
    app = create_app(lambda: PostgresLedger.connect(world_dsn))
    app.dependency_overrides[get_user] = lambda: SimpleAuthManagerUser(username="someone", role="VIEWER")
    client = TestClient(app, raise_server_exceptions=False)

    def ask(path: str, status: int = 200) -> Any:
        answer = client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


def _versions(get: Callable[..., Any], name: str) -> dict[int, dict[str, Any]]:
    return {v["number"]: v for v in get(f"/assets/{name}/versions")["items"]}


class TestVersions:
    def test_they_say_how_they_were_made_and_what_came(self, get: Callable[..., Any]) -> None:
        rides, zones = _versions(get, "rides"), _versions(get, "zones")
        assert [v["mode"] for v in zones.values()] == [
            "compact", "branch", "append", "replace", "replace", "replace", "replace",
        ]  # fmt: skip
        assert (rides[5]["rows"], rides[5]["batch_rows"], rides[5]["parent"]) == (98, 18, 4)
        assert (zones[6]["branch"], zones[6]["merged"]) == ("fix", "zones@5")

    def test_a_change_of_schema_has_its_class(self, get: Callable[..., Any]) -> None:
        rides = _versions(get, "rides")
        assert rides[DAYS + 1]["schema"]["class"] == "additive"
        assert [c["sentence"] for c in rides[DAYS + 1]["schema"]["changes"]] == [
            "tip double precision is new"
        ]
        assert rides[DAYS]["schema"] is None

    def test_collected_rows_are_told_from_kept_ones(self, get: Callable[..., Any]) -> None:
        states = {number: v["state"] for number, v in _versions(get, "zones").items()}
        assert states == dict.fromkeys((1, 2), "collected") | dict.fromkeys((3, 4, 5, 6, 7), "retained")

    @pytest.mark.parametrize("name", ["rides", "zones"])
    def test_they_weigh_what_retention_says(
        self, get: Callable[..., Any], ledger: PostgresLedger, name: str
    ) -> None:
        held, sizes = ledger.retention.held(name), ledger.retention.sizes(name)
        shown = _versions(get, name)
        own = {number: v["own"] for number, v in shown.items() if v["state"] == "retained"}
        assert own == exclusive_bytes(held, sizes)
        assert {v.number: sum(sizes[p] for p in v.part_ids) for v in held} == {
            n: shown[n]["bytes"] for n in own
        }
        assert get(f"/assets/{name}")["bytes"] == sum(sizes.values())

    @pytest.mark.parametrize("name", ["rides", "zones"])
    def test_they_are_held_by_whom_retention_says(
        self, get: Callable[..., Any], ledger: PostgresLedger, name: str
    ) -> None:
        shown = {n: v["holders"] for n, v in _versions(get, name).items() if v["state"] == "retained"}
        held = {
            v.number: [who for who in v.holders if not who.startswith("alias ")]
            for v in ledger.retention.held(name)
        }
        assert shown == held
        if name == "rides":
            assert shown[6] == ["pinned by ride_late@1 (trained on it)"]

    def test_pages_follow_each_other(self, get: Callable[..., Any]) -> None:
        first = get("/assets/rides/versions?limit=2")
        second = get(f"/assets/rides/versions?limit=2&before={first['next']}")
        assert [v["number"] for v in first["items"] + second["items"]] == [15, 14, 13, 12]


class TestChecks:
    def test_every_report_is_there_refused_batches_too(self, get: Callable[..., Any]) -> None:
        reports = list(reversed(get("/assets/rides/checks")["items"]))
        assert [r["version"] for r in reports] == [1, 2, 3, 4, None, 5, 6, 7, 8, 9, 10, 11, 12, None, 13]
        assert [r["verdict"] for r in reports if r["version"] is None] == ["fail", "fail"]
        assert reports[13]["partition_key"] == "2026-03-13"

    def test_a_check_says_what_it_saw_and_what_was_expected(self, get: Callable[..., Any]) -> None:
        report = get("/assets/rides/checks?limit=2")["items"][1]
        found = {check["id"]: check for check in report["checks"]}
        km = found["columns.km.checks.invalid"]
        assert (km["verdict"], km["observed"], km["threshold"]) == ("fail", 15, "= 0")

    def test_an_anomaly_check_has_the_band_its_past_foretold(self, get: Callable[..., Any]) -> None:
        [newest] = get("/assets/rides/checks?limit=1")["items"]
        [rows] = [check for check in newest["checks"] if check["type"] == "anomaly"]
        assert rows["low"] <= rows["observed"] <= rows["high"]

    def test_a_report_leads_to_the_rows_it_set_aside(self, get: Callable[..., Any]) -> None:
        [one] = get("/quarantine?asset=rides")["items"]
        aside = {r["report_id"]: r["quarantine"] for r in get("/assets/rides/checks")["items"]}
        assert aside[one["report_id"]] == one["quarantine_id"]
        assert sum(q is not None for q in aside.values()) == 1

    def test_pages_follow_each_other(self, get: Callable[..., Any]) -> None:
        first = get("/assets/rides/checks?limit=10")
        second = get(f"/assets/rides/checks?limit=10&before={first['next']}")
        assert (len(first["items"]), len(second["items"]), second["next"]) == (10, 5, None)

    def test_the_contract_s_standing_is_with_the_asset(self, get: Callable[..., Any]) -> None:
        asset = get("/assets/rides")
        assert (asset["contract"]["verdict"], asset["contract"]["engine"], asset["quarantined"]) == (
            "pass",
            "native",
            2,
        )
        assert get("/assets/zones")["contract"] is None


class TestProfile:
    def test_columns_have_their_numbers_and_bars(self, get: Callable[..., Any]) -> None:
        profile = get("/assets/rides/profile?version=2")
        columns = {c["name"]: c for c in profile["columns"]}
        assert profile["rows"] == 40
        assert (columns["km"]["min"], columns["km"]["max"], columns["km"]["mean"]) == (1, 20, 10.5)
        assert columns["kind"]["chart"] == {
            "kind": "values",
            "names": ["bike", "car"],
            "counts": [[20, 20]],
            "other": [0],
        }
        assert columns["started"]["chart"]["kind"] == "moment"
        assert sum(columns["km"]["chart"]["counts"][0]) == 40

    def test_rows_from_before_a_column_came_are_nulls_of_it(self, get: Callable[..., Any]) -> None:
        [tip] = [c for c in get(f"/assets/rides/profile?version={DAYS + 1}")["columns"] if c["name"] == "tip"]
        assert tip["nulls"] == get("/assets/rides/versions?limit=3")["items"][2]["rows"] - 20

    def test_a_masked_column_shows_no_value(self, get: Callable[..., Any]) -> None:
        answer = get("/assets/rides/profile?version=2")
        [email] = [c for c in answer["columns"] if c["name"] == "email"]
        assert (email["masked"], email["chart"], email["distinct"]) == (True, None, 40)
        assert "example.org" not in str(answer)

    def test_a_version_whose_rows_were_collected_keeps_its_profile(self, get: Callable[..., Any]) -> None:
        assert len(get("/assets/zones/profile?version=1")["columns"]) == 3

    def test_too_many_parts_are_said_and_not_merged(self, ledger: PostgresLedger) -> None:
        shown = views.profile(ledger, "rides@5", most_parts=4)
        assert "dataml dataset compact rides" in shown["missing"]
        assert [c["name"] for c in shown["columns"]] == ["id", "kind", "km", "started", "email"]
        assert views.comparison(ledger, "rides@1", "rides@5", most_parts=4)["manifest"] is None


class TestCompare:
    def test_what_is_between_two_versions(self, get: Callable[..., Any]) -> None:
        found = get(f"/assets/rides/compare?old={DAYS}&new={DAYS + 1}")
        assert (found["schema"]["class"], found["equal"]) == ("additive", False)
        columns = {c["name"]: c for c in found["columns"]}
        assert (columns["tip"]["old"], columns["tip"]["new"]["mean"]) == (None, 0.5)
        assert 0 <= columns["kind"]["psi"] < 0.1
        assert len(columns["km"]["chart"]["counts"]) == 2
        assert found["command"] == f"dataml dataset diff rides@{DAYS} rides@{DAYS + 1}"

    def test_the_manifests_tell_what_an_append_added(self, get: Callable[..., Any]) -> None:
        manifest = get("/assets/rides/compare?old=1&new=3")["manifest"]
        assert manifest == {"shared": 1, "old_parts": 0, "old_rows": 0, "new_parts": 2, "new_rows": 40}

    def test_equal_content_is_said(self, get: Callable[..., Any]) -> None:
        found = get("/assets/zones/compare?old=6&new=7")
        assert (found["equal"], found["manifest"]["shared"]) == (True, 0)

    def test_rows_that_are_gone_are_said(self, get: Callable[..., Any]) -> None:
        found = get("/assets/zones/compare?old=1&new=4")
        assert (found["old"]["kept"], found["new"]["kept"]) == (False, True)

    def test_a_diff_of_rows_that_somebody_kept_is_shown(self, get: Callable[..., Any]) -> None:
        stored = get("/assets/rides/compare?old=1&new=2")["rows"]
        assert (stored["body"]["rows"]["inserted"], len(stored["body"]["rows"]["samples"]["inserted"])) == (
            20,
            1,
        )
        assert get("/assets/rides/compare?old=2&new=3")["rows"] is None


class TestQuarantineAndBranches:
    def test_what_was_set_aside(self, get: Callable[..., Any]) -> None:
        [one] = get("/quarantine?state=open")["items"]
        assert (one["asset"], one["rows"], one["tested"], one["partition_key"]) == (
            "rides",
            2,
            20,
            "2026-03-05",
        )
        assert one["reasons"] == {"columns.km.checks.invalid": 2}
        assert get("/quarantine?state=replayed")["items"] == []
        assert get(f"/quarantine?before={one['quarantine_id']}")["items"] == []

    def test_an_open_branch_says_how_far_it_is(self, get: Callable[..., Any]) -> None:
        [branch] = get("/branches?state=open")["items"]
        datasets = {d["asset"]: d for d in branch["datasets"]}
        assert (branch["name"], branch["schema"], branch["task_id"]) == ("dev", "branch_dev", "branch")
        assert (datasets["rides"]["base"], datasets["rides"]["head"]) == (DAYS + 1, DAYS + 3)
        assert (datasets["rides"]["ahead"], datasets["rides"]["behind"]) == (2, 0)
        assert (datasets["zones"]["ahead"], datasets["zones"]["behind"]) == (0, 2)

    def test_closed_branches_follow_on_request(self, get: Callable[..., Any]) -> None:
        first = get("/branches?limit=1")
        second = get(f"/branches?limit=1&before={first['next']}")
        assert [b["name"] for b in first["items"] + second["items"]] == ["fix", "dev"]
        assert (first["items"][0]["state"], first["items"][0]["datasets"]) == ("merged", [])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/assets/ridez/checks", 404, "'rides'"),
        ("/assets/rides/profile?version=99", 404, "rides@99"),
        ("/assets/rides/profile", 422, "required"),
        ("/assets/rides/compare?old=1&new=99", 404, "rides@99"),
        ("/assets/rides/checks?limit=1000", 422, "less than"),
        ("/quarantine?state=lost", 422, "open"),
        ("/branches?state=lost", 422, "open"),
        ("/static/x/secrets.py", 404, "no module"),
        ("/static/x/..%2F__init__.py", 404, ""),
    ],
    ids=str,
)
def test_what_is_not_there_is_said_in_words(
    get: Callable[..., Any], path: str, status: int, words: str
) -> None:
    assert words in str(get(path, status)["detail"])
