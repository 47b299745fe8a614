"""`dataml lineage` by name, by column, between two and at a time; and the story of a model."""

from __future__ import annotations

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.steps.lineage import project_pending
from tests.lineage_events import column_lineage, out, put, run_event, table


def _observed(dsn):
    with Connection(dsn) as connection:
        made = out("sales", columnLineage=column_lineage("orders", total="amount"))
        put(connection, [run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[made])])
        project_pending(projector=PostgresProjection(connection))


def test_an_observed_table_by_the_end_of_its_name(terminal, filled_dsn):
    _observed(filled_dsn)
    code, text, _ = terminal("lineage", "public.sales")
    assert (code, "shop.public.orders@1" in text) == (0, True)
    _, text, _ = terminal("lineage", "orders", "--downstream", "--by-name")
    assert "etl.load: postgres://db:5432/shop.public.sales" in text
    _, text, _ = terminal("lineage", "sales", "--column", "total")
    assert "direct: postgres://db:5432/shop.public.orders.amount" in text
    _, text, _ = terminal("lineage", "orders", "--to", "sales", "--by-name")
    assert "sales" in text
    _, text, _ = terminal("lineage", "orders", "--downstream", "--at", "2025-01-01")
    assert "nothing" in text


def test_an_end_that_two_names_have_is_said(terminal, filled_dsn):
    _observed(filled_dsn)
    other = {"namespace": "postgres://other:5432", "name": "shop.public.orders"}
    with Connection(filled_dsn) as connection:
        put(connection, [run_event("COMPLETE", 2, inputs=[other], outputs=[out("refunds")])])
        project_pending(projector=PostgresProjection(connection))
    code, _, err = terminal("lineage", "orders", "--downstream")
    assert (code, "'orders' is the end of several names: write one of postgres://db:5432/" in err) == (
        1,
        True,
    )


def test_the_story_of_a_model(terminal):
    code, text, _ = terminal("lineage", "explain", "ride_demand")
    assert (code, "trained_on" in text, "evaluation" in text) == (0, True, True)
    assert "+00" not in text
    told = terminal.json("lineage", "explain", "ride_demand")[1]
    assert told["model"]["version"] == "ride_demand@1"


def test_what_is_asked_wrongly_is_said(terminal):
    assert "no time" in terminal("lineage", "rides", "--at", "noon")[2]
    assert "key=value" in terminal("lineage", "explain", "rides", "7")[2]
    assert "one asset is walked from" in terminal("lineage", "rides", "flights")[2]
    assert "name a model" in terminal("lineage", "explain", "rides")[2]
