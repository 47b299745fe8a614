"""Registration and crawl as Airflow runs them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading
from airflow_dataml.assets import dataset, model
from airflow_dataml.core.errors import PolicyError, SpecError
from airflow_dataml.operators.catalog import CatalogCrawlOperator, CatalogRegisterOperator
from dev.readme import ROOT
from tests.integration.operators.harness import run

RIDES = dataset(
    "rides",
    owner="data",
    documentation="# Rides",
    domain="mobility",
    terms=["ride"],
    freshness=timedelta(hours=6),
    columns={"km": "Distance", "late": {"description": "Over ten minutes", "tags": ["target"]}},
)


def test_what_dags_and_files_declare_is_in_the_catalog(make_world):
    world = make_world()
    task = CatalogRegisterOperator(
        task_id="declare",
        assets=[RIDES, model("demand", domain="mobility")],
        path=str(ROOT / "dags" / "catalog.yml"),
    )
    assert run(task, run_id="a") == {"new": 3, "changed": 0, "unchanged": 0}
    assert run(task, run_id="b") == {"new": 0, "changed": 0, "unchanged": 3}
    with world.ledger() as ledger:
        found = CatalogReading(ledger.connection).asset("rides")
    assert (found["documentation"], found["terms"], found["freshness_s"]) == ("# Rides", ["ride"], 21_600)
    assert [(c["name"], c["tags"]) for c in found["columns"]] == [("km", []), ("late", ["target"])]
    assert found["aliases"][0]["name"].endswith(".public.rides")


def test_nothing_to_register_is_a_mistake(make_world):
    make_world()
    with pytest.raises(SpecError, match="'declare' registers nothing"):
        run(CatalogRegisterOperator(task_id="declare"), run_id="a")


def test_a_crawl_enters_the_tables_of_the_ledgers_database(make_world):
    world = make_world()
    with world.ledger() as ledger:
        ledger.connection.execute("CREATE TABLE public.orders (id int)")
    crawl = CatalogCrawlOperator(task_id="crawl", scope={"include": ["public"]})
    assert run(crawl, run_id="a")["new"] == 1
    with world.ledger() as ledger:
        ledger.connection.execute("DROP TABLE public.orders")
    done = run(crawl, run_id="b")
    assert (done["missing"], done["seen"]) == (1, 0)


def test_a_scope_nobody_knows_is_refused(make_world):
    make_world()
    with pytest.raises(PolicyError, match="Extra inputs are not permitted"):
        run(CatalogCrawlOperator(task_id="crawl", scope={"schemas": ["a"]}), run_id="a")
