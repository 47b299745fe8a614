"""Events as a receiver takes them: read once, kept as they came, answered one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.steps.lineage import ItemOutcome, project_pending, store_events
from tests.lineage_events import edges, out, put, run_event, table

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration


def receive(ledger: PostgresLedger, *events: Any) -> list[ItemOutcome]:
    writing = PostgresProjection(ledger.connection)
    return list(store_events(events=events, store=writing.inbox, projector=writing))


def foreign(job: str, source: str, target: str, **facets: Any) -> dict[str, Any]:
    return run_event(
        "COMPLETE",
        1,
        job=job,
        airflow=False,
        namespace="spark",
        inputs=[table(source)],
        outputs=[out(target, **facets)],
    )


def described(**columns: str) -> dict[str, Any]:
    return {"fields": [{"name": n, "type": "bigint", "description": d} for n, d in columns.items()]}


def test_what_was_read_once_is_the_graph_it_would_be_from_what_was_kept(ledger: PostgresLedger) -> None:
    batch = [
        foreign("a.one", "orders", "clean"),
        ["no event"],
        foreign("b.two", "clean", "sums"),
        foreign("a.one", "orders", "clean"),
    ]
    assert [o.status for o in receive(ledger, *batch)] == ["stored", "refused", "stored", "known"]
    put(ledger.connection, [foreign("c.three", "sums", "report")], source="receiver")
    assert project_pending(projector=PostgresProjection(ledger.connection)).stored == 1
    assert edges(ledger.connection) == {
        ("orders@1", "clean@1"),
        ("clean@1", "sums@1"),
        ("sums@1", "report@1"),
    }


def test_an_event_mended_to_be_kept_is_known_the_second_time(ledger: PostgresLedger) -> None:
    event = foreign("a.one", "orders", "clean") | {"producer": "half \x00 a word", "extra": float("nan")}
    assert [o.status for o in receive(ledger, event)] == ["stored"]
    assert [o.status for o in receive(ledger, event)] == ["known"]


def test_a_column_that_is_new_gets_its_words_and_others_keep_theirs(ledger: PostgresLedger) -> None:
    receive(ledger, foreign("a.one", "orders", "clean", schema=described(a="first")))
    receive(
        ledger,
        foreign("b.two", "orders", "clean", schema=described(a="other", b="second")),
        foreign("c.three", "orders", "clean", schema=described(c="third")),
        foreign("d.four", "orders", "more", schema=described(a="other", b="second")),
    )
    rows = ledger.connection.rows(
        """SELECT a.name, c.name AS column, c.description FROM dataml.asset_column c
           JOIN dataml.asset a USING (asset_id) ORDER BY a.name, c.name"""
    )
    told = [(row["name"].rpartition(".")[2], row["column"], row["description"]) for row in rows]
    assert told == [
        ("clean", "a", "first"),
        ("clean", "b", "second"),
        ("clean", "c", "third"),
        ("more", "a", "other"),
        ("more", "b", "second"),
    ]


def test_a_stub_brings_the_words_it_is_found_by(ledger: PostgresLedger) -> None:
    receive(ledger, foreign("a.one", "orders", "clean", schema=described(customer_id="who", netTotal="sum")))
    words = {row["word"] for row in ledger.connection.rows("SELECT word FROM dataml.asset_word")}
    assert {"shop", "orders", "clean", "customer", "id", "net", "total"} <= words
    lexemes = ledger.connection.rows(
        """SELECT DISTINCT w FROM dataml.asset a, unnest(tsvector_to_array(a.tsv)) w
           WHERE w !~ '^([=:]|[0-9]+$)'"""
    )
    assert {row["w"] for row in lexemes} <= words
