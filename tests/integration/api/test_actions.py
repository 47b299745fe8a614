"""What people change from the page, and what is kept of it."""

from __future__ import annotations

import psycopg
import pytest

pytestmark = pytest.mark.integration
INCIDENT = "/incidents/1/state"


@pytest.fixture
def editor(client_on, filled_dsn):
    return client_on(filled_dsn, role="OP")


@pytest.fixture
def dead_letters(filled_dsn):
    with psycopg.connect(filled_dsn, autocommit=True) as admin:
        admin.execute("""
            INSERT INTO dataml.lineage_backend (name, kind, retry_at) VALUES ('marquez', 'http', now() + interval '1 day');
            INSERT INTO dataml.lineage_event (event_key, source, ordering_key, event_time, payload)
            SELECT 'e' || n, 'transport', 'run', now(), '{"job": {"namespace": "ns", "name": "load"}}'
            FROM generate_series(1, 3) n""")
        columns = {
            row[0]
            for row in admin.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'lineage_delivery'"
            )
        }
        at = ", event_time" if "event_time" in columns else ""
        admin.execute(f"""
            INSERT INTO dataml.lineage_delivery (backend_id, event_id, ordering_key, state, attempts, last_error{at})
            SELECT backend_id, event_id, ordering_key, 'dead', 9, '400: no such namespace'{at}
            FROM dataml.lineage_event, dataml.lineage_backend""")


def _audit(client):
    return client.get("/audit?verify=true").json()


def _post(client, path, body, status=200, **headers):
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


class TestIncident:
    def test_goes_from_hand_to_hand_with_words_and_names(self, editor):
        before = _audit(editor)["entries"]
        assert _post(editor, INCIDENT, {"state": "acknowledged"})["state"] == "acknowledged"
        assigned = _post(editor, INCIDENT, {"state": "assigned", "assignee": "ana"})
        assert (assigned["state"], assigned["assignee"]) == ("assigned", "ana")
        resolved = _post(
            editor, INCIDENT, {"state": "resolved", "words": " replayed batch 2 ", "reason": "fixed"}
        )
        assert (resolved["resolution"], resolved["assignee"]) == ("replayed batch 2", "ana")
        assert resolved["resolved_at"]
        assert editor.get("/incidents?state=open").json()["items"] == []
        audit = _audit(editor)
        assert (audit["entries"], audit["fault"]) == (before + 3, None)
        newest = audit["items"][0]
        assert newest["detail"]["reason"] == "fixed"
        assert (newest["actor"], newest["action"], newest["subject"]) == (
            "user:someone", "resolved incident", "incident 1",
        )  # fmt: skip
        assert newest["detail"]["words"] == "replayed batch 2"

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ({"state": "resolved"}, 422, "say what was done"),
            ({"state": "assigned"}, 422, "name one"),
            ({"state": "new"}, 422, "acknowledged"),
            ({"state": "acknowledged", "severity": "low"}, 422, "extra"),
        ],
        ids=["no words", "nobody", "backwards", "more than is asked"],
    )
    def test_what_is_asked_wrongly_is_said(self, editor, body, status, words):
        assert words in str(_post(editor, INCIDENT, body, status)["detail"])

    def test_that_is_not_there_is_said(self, editor):
        assert "incident 99" in _post(editor, "/incidents/99/state", {"state": "acknowledged"}, 404)["detail"]

    def test_two_people_do_not_overwrite_each_other(self, editor):
        _post(editor, INCIDENT, {"state": "resolved", "words": "done"})
        refused = _post(editor, INCIDENT, {"state": "acknowledged"}, 409)
        assert "is resolved and cannot become acknowledged" in refused["detail"]


class TestDelivery:
    def test_backends_say_how_far_behind_they_are(self, editor, dead_letters):
        delivery = editor.get("/delivery").json()
        assert [(b["name"], b["dead"], b["pending"]) for b in delivery["backends"]] == [("marquez", 3, 0)]
        assert delivery["unprojected"] == 3

    def test_dead_letters_page_with_their_reasons(self, editor, dead_letters):
        first = editor.get("/delivery/marquez/dead?limit=2").json()
        second = editor.get(f"/delivery/marquez/dead?limit=2&after={first['next']}").json()
        assert [d["event_id"] for d in first["items"] + second["items"]] == [1, 2, 3]
        assert (first["items"][0]["last_error"], first["items"][0]["job_name"]) == (
            "400: no such namespace",
            "load",
        )

    def test_one_or_all_are_sent_again_and_it_is_kept_who_asked(self, editor, dead_letters):
        assert _post(editor, "/delivery/marquez/replay", {"event_id": 2}) == {"replayed": 1}
        assert _post(editor, "/delivery/marquez/replay", {}) == {"replayed": 2}
        entries = _audit(editor)["items"][:2]
        assert [(e["actor"], e["detail"]["events"], e["detail"]["event_id"]) for e in entries] == [
            ("user:someone", 2, None), ("user:someone", 1, 2),
        ]  # fmt: skip

    def test_nothing_to_send_leaves_no_entry(self, editor, dead_letters):
        _post(editor, "/delivery/marquez/replay", {})
        before = _audit(editor)["entries"]
        assert _post(editor, "/delivery/marquez/replay", {}) == {"replayed": 0}
        assert _audit(editor)["entries"] == before

    def test_an_unknown_backend_is_said(self, editor):
        assert "nowhere" in _post(editor, "/delivery/nowhere/replay", {}, 404)["detail"]


class TestFromElsewhere:
    @pytest.mark.parametrize("site", ["cross-site", "same-site"], ids=str)
    def test_another_site_changes_nothing(self, editor, site):
        _post(editor, INCIDENT, {"state": "acknowledged"}, 403, **{"Sec-Fetch-Site": site})
        assert editor.get("/incidents").json()["items"][0]["state"] == "new"

    def test_airflow_s_own_page_does(self, editor):
        _post(editor, INCIDENT, {"state": "acknowledged"}, 200, **{"Sec-Fetch-Site": "same-origin"})

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"], ids=str)
    def test_a_form_changes_nothing(self, editor, kind):
        answer = editor.post(INCIDENT, content='{"state": "acknowledged"}', headers={"Content-Type": kind})
        assert answer.status_code == 415


def test_a_role_that_only_reads_is_told_what_it_lacks(client_on, filled_dsn):
    from psycopg.conninfo import make_conninfo

    with psycopg.connect(filled_dsn, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS a_reader")
        admin.execute("CREATE ROLE a_reader LOGIN")
        admin.execute(
            "GRANT USAGE ON SCHEMA dataml TO a_reader; GRANT SELECT ON ALL TABLES IN SCHEMA dataml TO a_reader"
        )
        editor = client_on(make_conninfo(filled_dsn, user="a_reader"), role="OP")
        refused = _post(editor, INCIDENT, {"state": "acknowledged"}, 503)
        admin.execute("DROP OWNED BY a_reader; DROP ROLE a_reader")
    assert "may read the ledger and not change it" in refused["detail"]


def test_an_approver_s_role_is_enough(client_on, filled_dsn, dead_letters):
    from psycopg.conninfo import make_conninfo

    from airflow_dataml.adapters.postgres.migrate import GRANTS

    roles = ("a_reader", "a_writer", "a_approver")
    with psycopg.connect(filled_dsn, autocommit=True) as admin:
        for role in roles:
            admin.execute(f"DROP ROLE IF EXISTS {role}")
            admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(GRANTS.format(reader=roles[0], writer=roles[1], approver=roles[2]))
        editor = client_on(make_conninfo(filled_dsn, user="a_approver"), role="OP")
        moved = editor.post(INCIDENT, json={"state": "resolved", "words": "done"}).status_code
        sent = editor.post("/delivery/marquez/replay", json={}).status_code
        for role in roles:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert (moved, sent) == (200, 200)
