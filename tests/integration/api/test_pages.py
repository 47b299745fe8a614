"""What the API answers."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from airflow_dataml.api.app import _configured_ledger
from airflow_dataml.api.modules import digest, sources

pytestmark = pytest.mark.integration


def _get(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_assets_carry_version_verdict_and_incidents(viewer):
    page = _get(viewer, "/assets")
    assert [
        (a["name"], a["kind"], a["version"], a["rows"], a["verdict"], a["incidents"]) for a in page["items"]
    ] == [
        ("ride_demand", "model", 1, None, None, 0),
        ("rides", "dataset", 2, 100, "fail", 1),
    ]
    assert page["next"] is None


def test_assets_page_by_name(viewer):
    first = _get(viewer, "/assets?limit=1")
    second = _get(viewer, f"/assets?limit=1&after={quote(first['next'])}")
    assert [a["name"] for a in first["items"] + second["items"]] == ["ride_demand", "rides"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?q=ride", ["rides", "ride_demand"]),
        ("?q=demnad", ["ride_demand"]),
        ("?q=ride&kind=model", ["ride_demand"]),
        ("?kind=model&kind=dataset", ["ride_demand", "rides"]),
        ("?failing=true", ["rides"]),
        ("?stale=true", []),
        ("?owner=nobody", []),
        ("?q=nowhere", []),
    ],
    ids=str,
)
def test_assets_are_found_by_words_and_filters(viewer, query, names):
    assert sorted(a["name"] for a in _get(viewer, f"/assets{query}")["items"]) == sorted(names)


def test_a_slip_is_mended_and_said(viewer):
    assert _get(viewer, "/assets?q=demnad")["mended"] == {"demnad": ["demand"]}


def test_words_are_completed(viewer):
    assert "rides" in _get(viewer, "/words?q=ri")["words"]


def test_an_asset_has_its_columns_and_other_names(viewer):
    asset = _get(viewer, "/assets/rides")
    assert [(c["name"], c["type"]) for c in asset["columns"]] == [
        ("ride_id", "integer"),
        ("fare", "double precision"),
    ]
    assert asset["stale"] is None


def test_what_is_made_of_an_asset_by_which_job(viewer):
    (down,) = _get(viewer, "/assets/rides/neighbours")["items"]
    assert (down["asset"], down["kind"], down["jobs"]) == ("ride_demand", "model", ["rides.train"])
    (up,) = _get(viewer, "/assets/ride_demand/neighbours?direction=upstream")["items"]
    assert up["asset"] == "rides"
    assert _get(viewer, "/assets/rides/neighbours?direction=upstream")["items"] == []


def test_an_asset_with_one_schema_has_no_history_of_it(viewer):
    assert _get(viewer, "/assets/rides/schemas") == {"items": [], "next": None}


def test_one_asset_has_its_aliases_and_open_incidents(viewer):
    asset = _get(viewer, "/assets/rides")
    assert [(a["name"], a["version"]) for a in asset["aliases"]] == [("current", 2)]
    assert asset["open_incidents"][0]["title"] == "batch 2 broke its contract"
    assert asset["location"] == {"table": "public.rides"}


def test_an_observed_asset_keeps_its_slashes(viewer, filled_dsn):
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

    with PostgresLedger.connect(filled_dsn) as ledger:
        ledger.assets.register(
            name="s3://lake/a b", kind="external", uri="s3://lake/a%20b", source="observed"
        )
    assert _get(viewer, "/assets/s3%3A%2F%2Flake%2Fa%20b")["kind"] == "external"
    assert _get(viewer, "/assets/s3%3A%2F%2Flake%2Fa%20b/versions")["items"] == []


def test_versions_newest_first_with_verdicts(viewer):
    page = _get(viewer, "/assets/rides/versions?limit=1")
    assert [(v["number"], v["verdicts"], v["aliases"]) for v in page["items"]] == [
        (2, {"check": "fail"}, ["current"])
    ]
    older = _get(viewer, f"/assets/rides/versions?before={page['next']}")
    assert [v["number"] for v in older["items"]] == [1]


def test_versions_of_a_model_say_what_it_learned_from(viewer):
    (version,) = _get(viewer, "/assets/ride_demand/versions")["items"]
    assert (version["dataset"], version["metrics"], version["aliases"]) == (
        "rides@2",
        {"loss": 0.25},
        ["champion"],
    )


def test_reports_carry_their_worst_checks_first(viewer):
    (report,) = _get(viewer, "/assets/rides/reports?version=2")["items"]
    assert [check["name"] for check in report["worst"]] == ["duplicate(ride_id)", "row_count"]
    assert report["summary"] == "fail on batch 2"
    assert "body" not in report


def test_reports_of_a_model_carry_decision_and_reasons(viewer):
    reports = _get(viewer, "/assets/ride_demand/reports")["items"]
    assert [(r["kind"], r["action"], r["reasons"]) for r in reports] == [
        ("decision", "promote", ["surely better"]),
        ("evaluation", None, None),
    ]
    assert len(_get(viewer, "/assets/ride_demand/reports?kind=decision")["items"]) == 1
    assert len(_get(viewer, f"/assets/ride_demand/reports?before={reports[0]['report_id']}")["items"]) == 1


def test_one_report_has_its_body(viewer):
    report = _get(viewer, "/reports/2")
    assert len(report["body"]["checks"]) == 3


def test_lineage_in_both_directions(viewer):
    up = _get(viewer, "/lineage/ride_demand?version=champion&direction=upstream")
    down = _get(viewer, "/lineage/rides?version=2&direction=downstream")
    assert [node["label"] for node in up["nodes"]] == ["ride_demand@1", "rides@2"]
    assert len(down["nodes"]) == 4
    assert _get(viewer, "/lineage/rides?direction=downstream&depth=1")["truncated"] is True


@pytest.mark.parametrize(("query", "found"), [("", 1), ("?state=open", 1), ("?state=resolved", 0), ("?asset=ride_demand", 0), ("?before=1", 0)], ids=str)  # fmt: skip
def test_incidents(viewer, query, found):
    assert len(_get(viewer, f"/incidents{query}")["items"]) == found


def test_audit_is_verified_when_asked(viewer):
    first = _get(viewer, "/audit?limit=2&verify=true")
    assert (first["entries"], first["fault"], [a["seq"] for a in first["items"]]) == (3, None, [3, 2])
    assert _get(viewer, f"/audit?before={first['next']}")["entries"] is None


@pytest.mark.parametrize("module", sorted(sources()))
def test_every_module_is_javascript_a_browser_may_keep(viewer, module):
    answer = viewer.get(f"/static/{digest()}/{module}")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "max-age" in answer.headers["cache-control"]
    assert answer.content == sources()[module]


def test_at_another_release_s_address_nothing_is_kept(viewer):
    assert viewer.get("/static/000000000000/dataml.js").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/assets/ridez", 404, "'rides'"),
        ("/assets/ridez/versions", 404, "'rides'"),
        ("/assets/rides/reports?version=99", 404, "rides@99"),
        ("/reports/999", 404, "report 999"),
        ("/lineage/ridez", 404, "'rides'"),
        ("/lineage/RIDES", 422, "not usable"),
        ("/lineage/rides?direction=sideways", 422, "upstream"),
        ("/assets?limit=0", 422, "greater than"),
        ("/assets?kind=table", 422, "dataset"),
        ("/assets?after=x", 422, "no key of a page"),
    ],
    ids=str,
)
def test_what_is_not_there_is_said_in_words(viewer, path, status, words):
    assert words in str(_get(viewer, path, status)["detail"])


def test_a_ledger_that_is_not_configured_is_503_naming_the_option(client_on, monkeypatch):
    client = client_on("postgresql://u:hunter2@127.0.0.1:1/nothing")
    monkeypatch.setenv("AIRFLOW__DATAML__CONN_ID", "elsewhere")
    client.app.state.open_ledger = _configured_ledger
    detail = _get(client, "/assets", 503)["detail"]
    assert "[dataml] conn_id" in detail
    assert "'elsewhere'" in detail


def test_a_dead_ledger_is_503_in_words_without_host_or_password(client_on):
    answer = client_on("postgresql://u:hunter2@127.0.0.1:1/nothing").get("/assets")
    assert answer.status_code == 503
    assert answer.json() == {"detail": "The DataML ledger does not answer. The API server's log says why."}


def test_a_ledger_that_was_not_migrated_is_503(client_on, postgres_dsn):
    answer = client_on(postgres_dsn).get("/assets")
    assert answer.status_code == 503
    assert "not set up" in answer.json()["detail"]


def test_a_reader_role_is_enough(client_on, filled_dsn, tmp_path):
    import psycopg
    from psycopg.conninfo import make_conninfo

    from airflow_dataml.adapters.postgres.migrate import GRANTS

    with psycopg.connect(filled_dsn, autocommit=True) as admin:
        for role in ("r_reader", "r_writer", "r_approver"):
            admin.execute(f"DROP ROLE IF EXISTS {role}")
            admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(GRANTS.format(reader="r_reader", writer="r_writer", approver="r_approver"))
        reader = client_on(make_conninfo(filled_dsn, user="r_reader"))
        paths = ["/assets", "/assets/rides", "/assets/rides/versions", "/assets?q=ride", "/words?q=ri", "/assets/rides/schemas", "/assets/rides/neighbours", "/delivery", "/assets/rides/reports", "/assets/rides/checks", "/assets/rides/profile?version=1", "/assets/rides/compare?old=1&new=2", "/reports/1", "/lineage/rides", "/quarantine", "/branches", "/incidents", "/audit?verify=true"]  # fmt: skip
        answers = {path: reader.get(path).status_code for path in paths}
        for role in ("r_reader", "r_writer", "r_approver"):
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert answers == dict.fromkeys(paths, 200)
