"""``dataml dataset adopt`` and ``release`` on a real ledger."""

from __future__ import annotations

import psycopg
import pytest

pytestmark = pytest.mark.integration
TABLE = 'CREATE SCHEMA "my shop"; CREATE TABLE "my shop"."all orders" (id int PRIMARY KEY); INSERT INTO "my shop"."all orders" VALUES (1)'
NAMED = '"my shop"."all orders"'


@pytest.fixture
def terminal(empty_terminal, postgres_dsn):
    empty_terminal("migrate")
    with psycopg.connect(postgres_dsn) as raw:
        raw.execute(TABLE)
    return empty_terminal


def test_there_and_back(terminal, postgres_dsn):
    code, out, err = terminal("dataset", "adopt", NAMED, "--name", "orders")
    assert (code, err) == (0, "")
    assert f"Adopted {NAMED} as orders@1: 1 rows, no row was copied." in out
    assert "refused from then on: postgres write staged batches instead" in out
    assert terminal.json("dataset", "show", "orders")[1]["parts"][0]["rows"] == 1
    code, out, _ = terminal("dataset", "release", "orders")
    assert code == 0
    assert out.startswith(f"Released orders@1 as table {NAMED}.")
    with psycopg.connect(postgres_dsn) as raw:
        raw.execute(f"INSERT INTO {NAMED} VALUES (2)")


def test_a_dry_run_prints_the_plan_and_changes_nothing(terminal):
    code, out, _ = terminal("dataset", "adopt", NAMED, "--name", "orders", "--dry-run")
    assert code == 0
    assert out.startswith(f"Would adopt {NAMED} as orders.")
    assert terminal.json("dataset", "list") == (0, [])
    terminal("dataset", "adopt", NAMED, "--name", "orders", "--key", "id")
    code, plan = terminal.json("dataset", "release", "orders", "--dry-run", "--copy")
    assert (code, plan["done"], plan["copied"], plan["rows"]) == (0, False, True, 1)


def test_obstacles_are_listed(terminal, postgres_dsn):
    with psycopg.connect(postgres_dsn) as raw:
        raw.execute(f"ALTER TABLE {NAMED} SET UNLOGGED; ALTER TABLE {NAMED} ENABLE ROW LEVEL SECURITY")
    code, out, _ = terminal("dataset", "adopt", NAMED, "--name", "orders", "--dry-run")
    assert code == 1
    assert out.count("\n- ") == 2
    code, out, err = terminal("dataset", "adopt", NAMED, "--name", "orders")
    assert (code, out) == (1, "")
    assert "cannot be adopted, for 2 reasons" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("adopt", "my shop.all orders"), "in double quotes"),
        (("adopt", NAMED), "asset name 'all orders' is not usable"),
        (("adopt", "public.nothing"), "does not exist"),
        (("release", "nothing"), "does not exist"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(terminal, arguments, said):
    code, out, err = terminal("dataset", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


def test_an_obstacle_to_a_release_is_exit_code_one(terminal, postgres_dsn):
    terminal("dataset", "adopt", NAMED, "--name", "orders")
    with psycopg.connect(postgres_dsn) as raw:
        raw.execute(f"CREATE MATERIALIZED VIEW m AS SELECT * FROM {NAMED}")
    code, out, _ = terminal("dataset", "release", "orders", "--dry-run")
    assert code == 1
    assert f"- materialized view public.m uses {NAMED}" in out
