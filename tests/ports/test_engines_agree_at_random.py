"""Native equals Soda on random contracts over random tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from airflow_dataml.adapters.native import NativeEngine
from airflow_dataml.adapters.soda import SodaEngine
from airflow_dataml.core.contract import Contract
from airflow_dataml.core.contract_yaml import write_yaml
from airflow_dataml.core.refs import Relation
from tests.ports.agreement import differences, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TABLE = Relation("public", "rides")
NUMBERS = st.sampled_from([-3, -1, 0, 1, 2, 7, 7, 7])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": NUMBERS,
    "bigint NOT NULL": NUMBERS,
    "numeric": st.sampled_from(["1.0", "1.00", "-0.5", "12345678901234567890.25", "0"]),
    "double precision": st.sampled_from(["1", "0.1", "-2.5", "NaN", "1e20", "-0"]),
    "text": st.sampled_from(["", "a", "A", "ab", "n/a", "O'Hare", "5 %", "ünï", "a\\b", "--", "7"]),
    "boolean": st.booleans(),
    "timestamptz": st.sampled_from(["2013-01-30 12:00+00", "2013-01-31 11:59:59.5+02", "2013-02-02 00:00+00"]),
}  # fmt: skip
NAMES = st.sampled_from([
    "km", "select", "order", "Ünï cødé", "é" * 31, "x" * 63, "a'b", "%s", "a.b", "$1", " ", "KM", "a--b", "/* no", ":p",
    "dataml n", "count", "r",
])  # fmt: skip


@st.composite
def thresholds(draw: st.DrawFn, *, counts: bool, required: bool) -> dict[str, Any]:
    bound = draw(st.sampled_from([0, 1, 2, 3.5, 50, 100]))
    key = draw(
        st.sampled_from(["must_be", "must_not_be", "must_be_greater_than", "must_be_less_than_or_equal"])
    )
    written: dict[str, Any] = {} if not required and draw(st.booleans()) else {key: bound}
    if counts and draw(st.booleans()):
        written["metric"] = "percent"
    if draw(st.booleans()):
        written["level"] = "warn"
    elif key in written and draw(st.booleans()):
        written["additional"] = {"must_be_less_than": bound + 1, "level": "warn"}
    return written


@st.composite
def checks(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    types = (
        ["missing", "duplicate"]
        + ["invalid"] * 3
        + ["aggregate"] * (kind.split(maxsplit=1)[0] not in ("boolean", "timestamptz"))
    )
    type_ = draw(st.sampled_from(types))
    body: dict[str, Any] = {}
    plain = {
        "integer": [1, 7],
        "bigint": [1, 7],
        "numeric": [1, 0],
        "double": [1, 0.1],
        "text": ["a", "O'Hare", ""],
    }
    some = plain.get(kind.split(maxsplit=1)[0])
    if some is not None and draw(st.booleans()):
        body["missing_values"] = some[1:]
    if type_ == "invalid" or (type_ == "aggregate" and draw(st.booleans())):
        rules: list[dict[str, Any]] = [{"valid_values": some}, {"invalid_values": some}] if some else []
        if kind == "text":
            rules += [
                {"valid_max_length": 1},
                {"valid_format": {"regex": "^[a-z]*$", "name": "x"}},
                {"invalid_format": {"regex": r"\\|'", "name": "x"}},
            ]
        elif kind == "boolean":
            rules = [{"valid_values": [True]}]
        elif kind == "timestamptz":
            body.pop("missing_values", None)
            rules = [{"invalid_values": ["2013-01-30 12:00+00"]}]
        else:
            rules += [{"valid_min": 0}, {"valid_max": 2, "valid_min": -1.5}]
        body |= draw(st.sampled_from(rules))
    if type_ == "aggregate":
        functions = (
            ["avg_length", "min_length", "max_length"] if kind == "text" else ["avg", "sum", "min", "max"]
        )
        body["function"] = draw(st.sampled_from(functions))
    body["threshold"] = draw(thresholds(counts=type_ != "aggregate", required=type_ == "aggregate"))
    if draw(st.integers(0, 3)) == 0:
        body["filter"] = draw(
            st.sampled_from(
                ["1 = 1", "1 = 0 OR 2 = 2", "rank > 2", "rank > 2 AND NOT rank = 5 /* not five */"]
            )
        )
    return {type_: body}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]], Contract]:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    columns = [(name, draw(st.sampled_from(sorted(VALUES)))) for name in names]
    row = st.tuples(*(VALUES[kind] if "NOT" in kind else st.none() | VALUES[kind] for _, kind in columns))
    rows = draw(st.lists(row, max_size=9))
    written = []
    for name, kind in columns:
        found = draw(st.lists(checks(kind), min_size=1, max_size=3))
        numbered = [{t: b | {"qualifier": f"n{i}"}} for i, c in enumerate(found) for t, b in c.items()]
        written.append({"name": name, "checks": numbered})
    some = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    document: dict[str, Any] = {
        "dataset": "w/demo/public/rides",
        "columns": [{"name": "rank"}, *written],
        "checks": [
            {"schema": {}},
            {"row_count": {"threshold": draw(thresholds(counts=False, required=False))}},
            {"duplicate": {"columns": some, "threshold": draw(thresholds(counts=True, required=False))}},
        ],
        "x-dataml": {"require_rows": draw(st.booleans())},
    }
    if draw(st.booleans()):
        document["filter"] = "rank > 1 OR rank = 0"
    return columns, rows, Contract.from_text(write_yaml(document))


@pytest.fixture(scope="module")
def connection(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server, autocommit=True) as opened:
        yield opened
        opened.execute("DROP TABLE IF EXISTS rides")


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(table=tables())
def test_random_contracts_on_random_tables(
    connection: psycopg.Connection[Any], table: tuple[list[tuple[str, str]], list[tuple[Any, ...]], Contract]
) -> None:
    columns, rows, contract = table
    fields = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns
    )
    connection.execute("DROP TABLE IF EXISTS rides")
    connection.execute(sql.SQL("CREATE TABLE rides (rank integer, {})").format(fields))
    if rows:
        places = sql.SQL(", ").join(
            sql.SQL("%s::{}").format(sql.SQL(kind.removesuffix(" NOT NULL"))) for _, kind in columns
        )
        with connection.cursor() as cursor:
            insert = sql.SQL("INSERT INTO rides VALUES (%s, {})").format(places)
            cursor.executemany(insert, [(rank, *row) for rank, row in enumerate(rows)])
    soda, native = (verify(engine, connection, contract, TABLE) for engine in (SodaEngine(), NativeEngine()))
    assert differences(soda, native) == []
