"""``dataml catalog`` from end to end."""

from __future__ import annotations

import pytest

FILE = """
assets:
  - name: board
    uri: https://airport.example.org/board
    owner: ops
    description: Departures
    freshness_s: 3600
    tags: [realtime]
    columns: [{name: flight, type: text, description: Number}]
  - {name: lake_orders, uri: "s3a://lake/orders", group: lake}
"""


@pytest.fixture
def registered(terminal, tmp_path):
    path = tmp_path / "catalog.yml"
    path.write_text(FILE)
    assert terminal.json("catalog", "register", str(path)) == (0, {"new": 2, "changed": 0, "unchanged": 0})
    assert terminal.json("catalog", "register", str(path)) == (0, {"new": 0, "changed": 0, "unchanged": 2})
    return terminal


def test_what_is_registered_is_found_and_shown(registered):
    code, page = registered.json("catalog", "search", "depart", "--kind", "external")
    assert (code, [hit["name"] for hit in page["hits"]]) == (0, ["board"])
    code, found = registered.json("catalog", "show", "lake_orders")
    assert {"namespace": "s3://lake", "name": "orders", "source": "declared"} in found["aliases"]
    code, out, _ = registered("catalog", "show", "board")
    assert (code, "flight" in out, "realtime" in out) == (0, True, True)
    code, out, _ = registered("catalog", "search", "lake_ordres")
    assert "Nothing is called 'ordres'" in out


def test_people_put_the_catalog_in_order(registered):
    code, out, _ = registered("catalog", "describe", "board", "--domain", "ops", "--importance", "high", "--column", "flight=Number")  # fmt: skip
    assert (code, "domain: None -> 'ops'" in out) == (0, True)
    assert registered("catalog", "tag", "board", "pii", "--terms")[0] == 0
    code, found = registered.json("catalog", "show", "board")
    assert (found["domain"], found["importance"], found["terms"]) == ("ops", "high", ["pii"])
    code, _, err = registered("catalog", "describe", "board", "--owner", "me")
    assert (code, "is declared as 'ops'" in err) == (1, True)
    assert registered("catalog", "delete", "board", "--reason", "old")[0] == 0
    assert registered.json("catalog", "search", "board")[1]["hits"] == []
    assert "board" not in [asset["name"] for asset in registered.json("dataset", "list")[1]]
    assert registered("catalog", "restore", "board")[1] == "status: 'deleted' -> 'active'\n"
    assert registered("catalog", "merge", "lake_orders", "--into", "board", "--reason", "same")[0] == 0
    assert registered.json("catalog", "show", "lake_orders")[1]["name"] == "board"
    assert registered("audit", "verify")[0] == 0


def test_the_ledgers_own_database_is_crawled(registered, filled_dsn, monkeypatch):
    code, done = registered.json("catalog", "crawl", "--include", "public")
    assert (code, done["missing"]) == (0, 0)
    monkeypatch.setenv("SHOP_DSN", filled_dsn)
    code, again = registered.json("catalog", "crawl", "--dsn-env", "SHOP_DSN", "--include", "public")
    assert (code, again["unchanged"]) == (0, done["seen"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("crawl", "--dsn-env", "NOT_SET"), "'NOT_SET' is not set"),
        (("crawl", "--dsn-env", "A", "--source-conn-id", "b"), "give one of them"),
        (("describe", "board"), "nothing is said of 'board'"),
        (("describe", "board", "--column", "x"), "write COLUMN=WHAT IT MEANS"),
        (("search", "--after", "x", "a"), "is no key of a page"),
        (("register", "/nowhere.yml"), "cannot be read as a file of assets"),
        (("show", "bord"), "Did you mean 'board'"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_line(registered, words, why):
    code, _, err = registered("catalog", *words)
    assert (code, err.count("\n")) == (1, 1)
    assert why in err


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("assets: [{name: a, colour: red}]", "assets.0.colour: Extra inputs"),
        ("- a", "the file: Input should be"),
        ("a: [", "cannot be read as a file of assets"),
        ("assets: [{name: a, uri: u, freshness_s: 0}]", "freshness_s"),
    ],
    ids=["key", "shape", "yaml", "value"],
)
def test_a_file_that_says_what_nobody_knows_is_refused(terminal, tmp_path, text, why):
    path = tmp_path / "catalog.yml"
    path.write_text(text)
    code, _, err = terminal("catalog", "register", str(path))
    assert code == 1
    assert why in err
