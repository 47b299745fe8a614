from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.distributions import EXACT_ROWS, SAMPLED_ROWS
from airflow_dataml.adapters.postgres.profiles import profile_relation
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.profiles import CELLS, cells_of, counted, covered, merge_profiles
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

T = Relation.parse("public.t")
COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@pytest.fixture
def db(postgres_dsn: str) -> Iterator[Connection]:
    with Connection(postgres_dsn) as connection:
        yield connection


def profile(
    db: Connection, name: str = "t", grids: dict[str, tuple[float, float]] | None = None
) -> dict[str, Any]:
    """Profile of a whole table, as JSON would carry it."""
    relation = Relation.parse(f"public.{name}")
    columns = [Column(**row) for row in db.rows(COLUMNS, [relation.quoted])]
    found = profile_relation(db, relation, columns, {} if grids is None else grids)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def of_values(db: Connection, type_: str, *values: str) -> dict[str, Any]:
    """Profile of one column of these values, written as SQL."""
    db.execute(f"CREATE TABLE t (v {type_})")
    db.execute(f"INSERT INTO t VALUES {', '.join(f'({v})' for v in values)}")
    column: dict[str, Any] = profile(db)["columns"]["v"]
    return column


def without(column: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in column.items() if key not in keys}


class TestKinds:
    def test_numbers(self, db: Connection) -> None:
        column = of_values(db, "integer", "1", "3", "3", "null")
        low, high = column["grid"]
        assert (low, high) == (0.0, 4.0)
        assert without(column, "sketch") == {
            "type": "integer", "kind": "numeric", "nulls": 1, "min": 1, "max": 3, "sum": 7, "squares": pytest.approx(19),
            "grid": [0.0, 4.0], "cells": [list(c) for c in sorted(cells_of([1, 3, 3], low=low, high=high).items())],
            "distinct": 2,
        }  # fmt: skip

    def test_moments(self, db: Connection) -> None:
        column = of_values(db, "timestamptz", "'2024-01-01 01:00+01'", "'2024-01-01 00:05+00'", "null")
        assert without(column, "sketch") == {
            "type": "timestamp with time zone", "kind": "temporal", "nulls": 1,
            "min": "2024-01-01T00:00:00+00:00", "max": "2024-01-01T00:05:00+00:00",
            "width": 1, "cells": [[1704067200, 1], [1704067500, 1]], "distinct": 2,
        }  # fmt: skip

    def test_dates_before_christ(self, db: Connection) -> None:
        column = of_values(db, "date", "'0044-03-15 BC'", "'2024-01-01'")
        assert (column["min"], column["max"]) == ("0044-03-15 BC", "2024-01-01")

    def test_booleans(self, db: Connection) -> None:
        assert of_values(db, "boolean", "true", "true", "false", "null") == {
            "type": "boolean", "kind": "boolean", "nulls": 1, "distinct": 2, "values": [["true", 2], ["false", 1]], "other": 0,
        }  # fmt: skip

    def test_texts(self, db: Connection) -> None:
        column = of_values(db, "varchar(9)", "'b'", "'b'", "'ä€x'", "''", "null")
        assert without(column, "sketch") == {
            "type": "character varying(9)", "kind": "text", "nulls": 1, "values": [["b", 2], ["", 1], ["ä€x", 1]],
            "other": 0, "length": {"min": 0, "max": 3, "sum": 5}, "distinct": 3,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("type_", "value", "shown"),
        [
            ("json", """'{"a":1}'""", '{"a":1}'),
            ("jsonb", """'{"a":1}'""", '{"a": 1}'),
            ("point", "'(1,2)'", "(1,2)"),
            ("integer[]", "'{1,2}'", "{1,2}"),
            ("bytea", r"'\x00ff'", "\\x00ff"),
            ("interval", "'1 day'", "1 day"),
            ("uuid", "'00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
            ("int4range", "'[1,3)'", "[1,3)"),
        ],
        ids=["json", "jsonb", "point", "array", "bytea", "interval", "uuid", "range"],
    )
    def test_any_other_type_is_shown_as_text(
        self, db: Connection, type_: str, value: str, shown: str
    ) -> None:
        column = of_values(db, type_, value, value, "null")
        assert without(column, "sketch") == {
            "type": type_, "kind": "other", "nulls": 1, "values": [[shown, 2]], "other": 0, "distinct": 1,
        }  # fmt: skip

    def test_a_record_of_nulls_is_a_value(self, db: Connection) -> None:
        db.execute("CREATE TYPE pair AS (a integer, b integer)")
        column = of_values(db, "pair", "ROW(NULL, NULL)", "null")
        assert (column["nulls"], column["values"]) == (1, [["(,)", 1]])

    @pytest.mark.parametrize("type_", ["integer", "numeric", "real", "date", "boolean", "text", "json"])
    def test_a_column_of_nulls(self, db: Connection, type_: str) -> None:
        column = of_values(db, type_, "null", "null")
        assert column["nulls"] == 2
        assert column["distinct"] == covered(column) == 0
        if type_ == "integer":
            assert (column["grid"], column["min"]) == (None, None)

    def test_a_table_without_rows_or_columns(self, db: Connection) -> None:
        db.execute("CREATE TABLE t ()")
        assert profile(db) == {"rows": 0, "columns": {}}
        db.execute("ALTER TABLE t ADD COLUMN a integer, ADD COLUMN b date")
        assert profile(db)["columns"]["b"]["nulls"] == 0


class TestNumbers:
    @pytest.mark.parametrize(
        ("type_", "values", "odd"),
        [
            ("double precision", ["'NaN'", "'Infinity'", "1e200", "-1e200"], 4),
            ("double precision", ["1e-200", "-1e-320", "0"], 0),
            ("real", ["'NaN'", "'-Infinity'", "3e38"], 2),
            ("numeric", ["'NaN'", "1e400", "-1e400"], 3),
            ("numeric(10,2)", ["'NaN'", "99999999.99"], 1),
        ],
        ids=["double", "tiny", "real", "numeric", "numeric(10,2)"],
    )
    def test_what_has_no_place_on_a_line_counts_as_missing(
        self, db: Connection, type_: str, values: list[str], odd: int
    ) -> None:
        column = of_values(db, type_, "1", "2", "null", *values)
        assert (column["nulls"], column.get("nonfinite", 0)) == (1 + odd, odd)
        assert covered(column) == 2 + len(values) - odd

    def test_nothing_but_infinity(self, db: Connection) -> None:
        column = of_values(db, "double precision", "'Infinity'")
        assert (column["min"], column["grid"], column["cells"], column["nonfinite"]) == (None, None, [], 1)

    def test_an_infinite_moment_counts_as_missing(self, db: Connection) -> None:
        column = of_values(db, "timestamp", "'infinity'", "'-infinity'", "'2024-01-01'")
        assert (column["nulls"], column["nonfinite"], column["min"]) == (2, 2, "2024-01-01T00:00:00")

    def test_integers_beyond_doubles_stay_apart(self, db: Connection) -> None:
        column = of_values(db, "bigint", *(str(2**62 + i) for i in range(20)))
        assert column["distinct"] == 20
        assert column["sum"] == sum(2**62 + i for i in range(20))


class TestSampling:
    ROWS = 3 * EXACT_ROWS

    @pytest.fixture
    def large(self, db: Connection) -> dict[str, Any]:
        db.execute(
            f"""CREATE TABLE t AS SELECT i AS id, i % 7 AS week, i % 1000 AS thousand, CASE WHEN i % 4 = 0 THEN i % 3 = 0 END AS flag,
                'k' || i % 5 AS kind, date '2024-01-01' + i % 366 AS day, CASE WHEN i = 77 THEN 'once' END AS rare
                FROM generate_series(1, {self.ROWS}) i"""
        )
        return profile(db)

    def test_counts_and_extremes_are_of_every_row(self, large: dict[str, Any]) -> None:
        columns = large["columns"]
        assert large["rows"] == self.ROWS
        assert (columns["id"]["min"], columns["id"]["max"]) == (1, self.ROWS)
        assert columns["id"]["sum"] == self.ROWS * (self.ROWS + 1) // 2
        # Every fourth row has a flag, of those every third is set.
        assert columns["flag"]["values"] == [["false", self.ROWS // 6], ["true", self.ROWS // 12]]
        assert "sampled" not in columns["flag"]
        assert columns["rare"]["nulls"] == self.ROWS - 1

    def test_shares_are_of_a_sample_and_say_so(self, large: dict[str, Any]) -> None:
        for name in ("id", "week", "thousand", "kind", "day"):
            column = large["columns"][name]
            assert covered(column) == self.ROWS
            assert counted(column) == column["sampled"] == pytest.approx(SAMPLED_ROWS, rel=0.02)
        assert all(n == pytest.approx(self.ROWS / 5, rel=0.03) for _, n in large["columns"]["kind"]["values"])
        assert large["columns"]["kind"]["length"] == {"min": 2, "max": 2, "sum": 2 * self.ROWS}

    def test_the_spread_is_of_the_sample(self, large: dict[str, Any]) -> None:
        for name, spread in (("week", 2.0), ("thousand", 1000 / 12**0.5), ("id", self.ROWS / 12**0.5)):
            column = large["columns"][name]
            found = (column["squares"] / self.ROWS - (column["sum"] / self.ROWS) ** 2) ** 0.5
            assert found == pytest.approx(spread, rel=0.02), name

    def test_few_values_and_keys_are_counted_right(self, large: dict[str, Any]) -> None:
        found = {name: column["distinct"] for name, column in large["columns"].items()}
        assert (found["week"], found["kind"], found["id"]) == (7, 5, self.ROWS)
        assert found["thousand"] == pytest.approx(1000, rel=0.19)

    def test_the_same_table_gives_the_same_sample(self, db: Connection, large: dict[str, Any]) -> None:
        grids = {n: tuple(c["grid"]) for n, c in large["columns"].items() if c.get("grid")}
        assert profile(db, grids=grids) == large

    def test_a_view_is_sampled_too(self, db: Connection, large: dict[str, Any]) -> None:
        db.execute("CREATE VIEW v AS SELECT * FROM t")
        column = profile(db, "v")["columns"]["week"]
        assert column["sampled"] == pytest.approx(SAMPLED_ROWS, rel=0.02)
        assert column["sum"] == large["columns"]["week"]["sum"]


class TestRelations:
    def test_parts_on_the_same_grids_add_up_to_the_whole(self, db: Connection) -> None:
        db.execute(
            """CREATE TABLE t AS SELECT i % 97 AS a, (i * i % 1013)::numeric(10,2) AS b, i % 2 = 0 AS c, md5((i % 50)::text) AS d,
               timestamp '2024-01-01' + i * interval '1 hour' AS e, CASE WHEN i % 3 = 0 THEN 'NaN'::float8 ELSE i END AS f
               FROM generate_series(1, 3000) i"""
        )
        db.execute("CREATE TABLE one AS SELECT * FROM t WHERE a < 40")
        db.execute("CREATE TABLE two AS SELECT * FROM t WHERE a >= 40")
        grids: dict[str, tuple[float, float]] = {}
        whole = profile(db, grids=grids)
        merged = merge_profiles([profile(db, "one", grids), profile(db, "two", grids)])
        floats = ("sum", "squares")
        for name, column in whole["columns"].items():
            assert without(merged["columns"][name], *floats) == without(column, *floats)
            assert [merged["columns"][name].get(k) for k in floats] == pytest.approx(
                [column.get(k) for k in floats]
            )

    def test_more_columns_than_one_statement_returns(self, db: Connection) -> None:
        names = [f"c{i}" for i in range(400)]
        db.execute(f"CREATE TABLE t ({', '.join(f'{n} integer' for n in names)})")
        db.execute(f"INSERT INTO t VALUES ({', '.join(map(str, range(400)))})")
        found = profile(db)["columns"]
        assert {name: column["min"] for name, column in found.items()} == {f"c{i}": i for i in range(400)}

    def test_long_values_that_begin_alike_are_counted_together(self, db: Connection) -> None:
        stem = "x" * 200
        column = of_values(db, "text", f"'{stem}a'", f"'{stem}b'", "'y'")
        assert column["values"] == [[stem, 2], ["y", 1]]
        assert column["distinct"] == 3

    def test_values_seen_once_are_no_top_values_among_many(self, db: Connection) -> None:
        db.execute(
            "CREATE TABLE t AS SELECT i::text AS v FROM generate_series(1, 500) i UNION ALL SELECT '7'"
        )
        column = profile(db)["columns"]["v"]
        assert (column["values"], column["other"], covered(column)) == ([["7", 2]], 499, 501)

    def test_hostile_names_and_settings(self, db: Connection) -> None:
        db.execute("SET datestyle = 'German'")
        db.execute(
            """CREATE TABLE t AS SELECT 1 AS "a""b %s {}", date '2024-02-01' AS "select", 'x' AS "s" """
        )
        columns = profile(db)["columns"]
        assert columns["select"]["min"] == "2024-02-01"
        assert columns['a"b %s {}']["sum"] == 1
        assert db.scalar("SHOW datestyle") == "German, DMY"

    def test_cells_are_those_python_counts(self, db: Connection) -> None:
        db.execute(
            "CREATE TABLE t AS SELECT (i * 7919 % 10007)::float8 / 13 AS v FROM generate_series(1, 5000) i"
        )
        column = profile(db)["columns"]["v"]
        low, high = column["grid"]
        values = [row["v"] for row in db.rows("SELECT v FROM t")]
        assert Counter(dict(column["cells"])) == cells_of(values, low=low, high=high)
        assert all(0 <= cell <= CELLS + 1 for cell, _ in column["cells"])
