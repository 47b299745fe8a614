"""Every command of ``dataml`` on a real ledger."""

from __future__ import annotations

import psycopg
import pytest

from airflow_dataml.adapters.postgres.migrate import available

pytestmark = pytest.mark.integration


def test_migrate_applies_once(empty_terminal):
    code, first = empty_terminal.json("migrate")
    assert (code, len(first["applied"])) == (0, len(available()))
    assert empty_terminal.json("migrate") == (0, {"applied": [], "version": available()[-1].number})


def test_migrate_prints_the_grants_of_the_three_roles(empty_terminal):
    code, out, _ = empty_terminal("migrate", "--show-grants")
    assert code == 0
    assert all(role in out for role in ("dataml_reader", "dataml_writer", "dataml_approver"))


def test_status_of_an_empty_database_says_what_to_do(empty_terminal):
    code, out, _ = empty_terminal("status")
    assert code == 1
    assert "is empty" in out
    assert "dataml migrate" in out


def test_status_counts(terminal):
    code, data = terminal.json("status")
    assert code == 0
    assert data["assets"] == {"dataset": 1, "model": 1}
    assert (data["versions"], data["open_incidents"], data["outbox_pending"], data["outbox_dead"]) == (
        3,
        1,
        1,
        0,
    )


def test_reading_an_empty_database_is_refused_with_the_remedy(empty_terminal):
    code, out, err = empty_terminal("dataset", "list")
    assert (code, out) == (1, "")
    assert "migrate" in err


def test_dataset_list_shows_the_verdict_of_the_current_version(terminal):
    code, rows = terminal.json("dataset", "list")
    assert code == 0
    assert [(r["name"], r["version"], r["rows"], r["verdict"], r["incidents"]) for r in rows] == [
        ("rides", 2, 100, "fail", 1)
    ]


def test_dataset_list_for_people_is_aligned(terminal):
    _, out, _ = terminal("dataset", "list")
    header, row = out.rstrip("\n").split("\n")
    assert header.index("VERDICT") == row.index("fail")


@pytest.mark.parametrize("what", ["dataset", "model"], ids=str)
def test_pages_go_on_after_the_last_name(terminal, what):
    _, out, _ = terminal(what, "list", "--limit", "1")
    assert "--after" in out
    assert terminal.json(what, "list", "--after", "zzz") == (0, [])


def test_dataset_versions_newest_first(terminal):
    _, rows = terminal.json("dataset", "versions", "rides")
    assert [(r["number"], r["aliases"], r["verdicts"]) for r in rows] == [
        (2, ["current"], {"check": "fail"}),
        (1, [], {"check": "pass"}),
    ]
    assert terminal.json("dataset", "versions", "rides", "--before", "2")[1][0]["number"] == 1


def test_dataset_show_names_columns_parts_and_reports(terminal):
    code, out, _ = terminal("dataset", "show", "rides@1")
    assert code == 0
    for word in ("rides@1", "ride_id", "double precision", "dataml_data.rides_1", "2013-01", "check"):
        assert word in out
    assert "rides_2" not in out


def test_dataset_show_of_an_observed_asset_needs_no_version(terminal, filled_dsn):
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

    with PostgresLedger.connect(filled_dsn) as ledger:
        ledger.assets.register(
            name="s3://lake/Orders", kind="external", uri="s3://lake/Orders", source="observed"
        )
    code, out, _ = terminal("dataset", "show", "s3://lake/Orders")
    assert code == 0
    assert "observed" in out


@pytest.mark.parametrize("ref", ["ride_demand", "ride_demand@1", "ride_demand@champion"], ids=str)
def test_model_show_by_name_number_and_alias(terminal, ref):
    code, out, _ = terminal("model", "show", ref)
    assert code == 0
    assert "rides@2" in out
    assert "metric loss" in out
    assert "score_cells" not in out


def test_a_model_is_not_a_dataset(terminal):
    code, _, err = terminal("dataset", "show", "ride_demand")
    assert code == 1
    assert "dataml model" in err


def test_a_wrong_name_is_answered_with_the_nearest(terminal):
    code, _, err = terminal("dataset", "show", "ridez")
    assert code == 1
    assert "'rides'" in err
    assert "Traceback" not in err


def test_lineage_upstream_for_people_and_programs(terminal):
    code, out, _ = terminal("lineage", "ride_demand", "--upstream")
    assert code == 0
    assert out.startswith("ride_demand@1 (upstream)\n`-- trained_on: rides@2")
    _, graph = terminal.json("lineage", "ride_demand@1", "--upstream")
    assert [node["label"] for node in graph["nodes"]] == ["ride_demand@1", "rides@2"]
    assert graph["edges"][0][2] == "trained_on"


def test_lineage_downstream_shows_a_node_once_in_full(terminal):
    _, out, _ = terminal("lineage", "rides@2", "--downstream")
    assert out.count("reason: decision report") == 1
    assert "(see above)" in out


def test_lineage_says_when_it_was_cut(terminal):
    _, out, _ = terminal("lineage", "rides@2", "--downstream", "--depth", "1")
    assert "--depth" in out


def test_report_prints_every_check(terminal):
    code, out, _ = terminal("report", "rides@2")
    assert code == 0
    assert "check of rides is FAIL" in out
    assert "duplicate(ride_id)" in out


def test_report_of_a_kind_that_is_not_there(terminal):
    code, out, _ = terminal("report", "rides@2", "--kind", "monitor")
    assert (code, out) == (0, "rides@2 has no report of kind 'monitor'.\n")


@pytest.mark.parametrize(
    ("argv", "found"),
    [((), 1), (("--asset", "rides"), 1), (("--state", "open"), 1), (("--state", "resolved"), 0)],
    ids=["all", "asset", "open", "resolved"],
)
def test_incident_list(terminal, argv, found):
    code, rows = terminal.json("incident", "list", *argv)
    assert (code, len(rows)) == (0, found)


def test_audit_verify_holds(terminal):
    assert terminal.json("audit", "verify") == (0, {"entries": 3, "fault": None})


def test_audit_verify_finds_a_changed_entry(terminal, filled_dsn):
    with psycopg.connect(filled_dsn, autocommit=True) as admin:
        admin.execute("ALTER TABLE dataml.audit DISABLE TRIGGER audit_refuse")
        admin.execute("UPDATE dataml.audit SET actor = 'nobody' WHERE seq = 2")
    code, out, _ = terminal("audit", "verify")
    assert code == 1
    assert "BROKEN at entry 2" in out


def test_a_dead_ledger_is_one_line_without_the_password(monkeypatch, empty_terminal):
    monkeypatch.setenv("DATAML_LEDGER_DSN", "postgresql://u:hunter2@127.0.0.1:1/nothing")
    code, out, err = empty_terminal("status")
    assert (code, out) == (1, "")
    assert "127.0.0.1:1/nothing" in err
    assert err.count("\n") == 1
    assert "hunter2" not in err
