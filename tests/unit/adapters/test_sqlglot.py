"""Reading SQL that is odd, huge, hostile, or of other systems."""

from __future__ import annotations

import time

import pytest

from airflow_dataml.adapters.sqlglot import SqlglotParser
from airflow_dataml.core.errors import SpecError

SCHEMAS = {
    "public.t": {"a": "integer", "b": "text", "c": "integer"},
    "public.s": {"a": "integer", "d": "text"},
}


def parse(sql: str, **options):
    return SqlglotParser().parse(sql, **{"schemas": SCHEMAS, "default_schema": "public"} | options)


def only(sql: str, **options):
    (found,) = parse(sql, **options)
    return found


class TestFallback:
    @pytest.mark.parametrize(
        ("sql", "inputs", "target", "reason"),
        [
            ("SELECT nope FROM t", ("public.t",), None, "'nope' is in no table"),
            ("SELECT t.nope FROM t JOIN x ON true", ("public.t", "public.x"), None, "'t' has no column 'nope'"),
            ("SELECT * FROM x", ("public.x",), None, "not known"),
            ("SELECT a FROM t, s", ("public.s", "public.t"), None, "in several tables"),
            ("SELECT q FROM x, y", ("public.x", "public.y"), None, "may be of several tables"),
            ("INSERT INTO n SELECT nope FROM t", ("public.t",), "public.n", "'nope'"),
            ("WITH w AS (SELECT nope FROM t) UPDATE s SET d = w.nope FROM w", ("public.s", "public.t"), "public.s", "'nope'"),
            ("INSERT INTO n SELECT FROM FROM x.y WHERE", ("x.y",), "public.n", "missing"),
            ("MERGE INTO n USING m ON WHEN", ("public.m", "public.n"), "public.n", ""),
            ("SELECT b FROM t WHERE b = 'open FROM s", ("public.t",), None, ""),
        ],
        ids=["column", "qualified", "star", "ambiguous", "guess", "insert", "with", "broken", "merge", "string"],
    )  # fmt: skip
    def test_what_is_not_understood_is_told_by_its_tables(self, sql, inputs, target, reason) -> None:
        found = only(sql)
        assert (found.inputs, found.target, found.outputs) == (inputs, target, ())
        assert found.method == "table"
        assert found.confidence <= 0.3
        assert reason in found.reason

    def test_one_bad_statement_costs_the_others_nothing(self) -> None:
        good, bad, best = parse("SELECT a FROM t; SELECT nope FROM t; UPDATE t SET b = 'x'")
        assert [good.method, bad.method, best.method] == ["sqlglot", "table", "sqlglot"]

    def test_a_table_that_is_not_known_is_read_as_the_statement_says(self) -> None:
        found = only("SELECT x.k, t.b, q FROM x JOIN t ON t.a = x.a")
        assert found.direct() == {
            "k": (("public.x", "k"),),
            "b": (("public.t", "b"),),
            "q": (("public.x", "q"),),
        }
        assert found.confidence == 0.7

    @pytest.mark.parametrize(
        "sql", ["", ";;", "-- nothing", "SET x = 1", "DROP TABLE t", "GRANT SELECT ON t TO bob", "BEGIN", "CALL f()"],
        ids=["empty", "semicolons", "comment", "set", "drop", "grant", "begin", "call"],
    )  # fmt: skip
    def test_what_moves_no_rows_is_nothing(self, sql: str) -> None:
        assert set(parse(sql)) <= {None}


class TestPatience:
    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT " + "(" * 5000 + "1" + ")" * 5000,
            "SELECT a FROM t WHERE " + " AND ".join(f"a <> {i}" for i in range(20_000)),
            "SELECT " + ", ".join(f"a + {i} AS c{i}" for i in range(15_000)) + " FROM t",
            "WITH w0 AS (SELECT * FROM t)"
            + "".join(f", w{i} AS (SELECT x.*, y.* FROM w{i - 1} x, w{i - 1} y)" for i in range(1, 40))
            + " SELECT * FROM w39",
            "SELECT a FROM t WHERE a IN (" + ",".join("1" for _ in range(90_000)) + ")",
            "SELECT " + "CASE WHEN a = 1 THEN " * 3000 + "1" + " END" * 3000 + " FROM t",
            "SELECT a FROM t " + "UNION ALL SELECT a FROM t " * 3000,
            "INSERT INTO t VALUES " + ", ".join("(1, 'x', 2)" for _ in range(12_000)),
            "x" * 2_000_000,
            "SELECT a FROM t WHERE '" + "/*" * 60_000,
            "SELECT " + "f(" * 400 + "a" + ")" * 400 + " FROM t",
        ],
        ids=[
            "brackets",
            "ands",
            "columns",
            "doubling",
            "in",
            "case",
            "unions",
            "values",
            "long",
            "comments",
            "calls",
        ],
    )
    def test_nothing_takes_long_and_nothing_raises(self, sql: str) -> None:
        began = time.thread_time()
        SqlglotParser(limit_s=0.5).parse(sql, schemas=SCHEMAS, default_schema="public")
        # Cutting the text into words comes before the clock is asked.
        assert time.thread_time() - began < 8

    def test_a_statement_read_in_time_is_not_given_up(self) -> None:
        sql = "SELECT " + ", ".join(f"a + {i} AS c{i}" for i in range(500)) + " FROM t"
        assert len(only(sql).outputs) == 500


class TestAnswersAreKept:
    def test_until_a_table_they_rest_on_changes(self) -> None:
        parser = SqlglotParser()
        first = parser.parse("SELECT * FROM t", schemas=SCHEMAS, default_schema="public")
        more = SCHEMAS | {"public.other": {"z": "integer"}}
        assert parser.parse("SELECT * FROM t", schemas=more, default_schema="public") is first
        fewer = SCHEMAS | {"public.t": {"a": "integer"}}
        (again,) = parser.parse("SELECT * FROM t", schemas=fewer, default_schema="public")
        assert [name for name, _ in again.outputs] == ["a"]

    def test_a_name_that_appears_is_noticed(self) -> None:
        parser = SqlglotParser()
        (before,) = parser.parse("SELECT k FROM n")
        (after,) = parser.parse("SELECT k FROM n", schemas={"n": {"k": "integer"}})
        assert (before.confidence, after.confidence) == (0.7, 0.95)


class TestDialects:
    @pytest.mark.parametrize(
        ("dialect", "sql", "schemas", "direct"),
        [
            (
                "snowflake",
                'SELECT n + 1 AS m, a AS n, "k" FROM x.T QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1',
                {"X.T": {"A": "int", "B": "int", "N": "int", "k": "int"}},
                {"M": {"X.T.N"}, "N": {"X.T.A"}, "k": {"X.T.k"}},
            ),
            ("snowflake", "SELECT A FROM lower_t", {"lower_t": {"a": "int"}}, {"A": {"lower_t.a"}}),
            ("bigquery", "SELECT * EXCEPT (b), x FROM t, t.arr AS x", {"t": {"a": "int", "b": "int", "arr": "int"}},
             {"a": {"t.a"}, "arr": {"t.arr"}, "x": {"t.arr"}}),
            ("spark", "SELECT a, e FROM t LATERAL VIEW explode(c) l AS e", {"t": {"a": "int", "c": "int"}},
             {"a": {"t.a"}, "e": {"t.c"}}),
            ("duckdb", "FROM t SELECT a + 1 AS x, x * 2 AS y", {"t": {"a": "int"}}, {"x": {"t.a"}, "y": {"t.a"}}),
            ("mysql", "SELECT `a b` FROM `t`", {"t": {"a b": "int"}}, {"a b": {"t.a b"}}),
            ("tsql", "SELECT TOP 5 [a] INTO n FROM dbo.t", {"dbo.t": {"a": "int"}}, {"a": {"dbo.t.a"}}),
        ],
        ids=["snowflake", "snowflake-loose", "bigquery", "spark", "duckdb", "mysql", "tsql"],
    )  # fmt: skip
    def test_names_are_read_as_the_system_does(self, dialect, sql, schemas, direct) -> None:
        found = only(sql, dialect=dialect, schemas=schemas, default_schema=None)
        assert found.reason is None
        read = {name: {f"{r}.{c}" for r, c in pairs} for name, pairs in found.direct().items()}
        assert {
            name: {x.removesuffix(".a b") + ".a b" if " " in x else x for x in v} for name, v in read.items()
        } == direct

    def test_a_dialect_that_is_none_is_refused(self) -> None:
        with pytest.raises(SpecError, match="SQL dialect 'klingon' is not known: use one of"):
            parse("SELECT 1", dialect="klingon")

    def test_placeholders_of_drivers(self) -> None:
        found = only("SELECT a FROM t WHERE b = %(name)s AND c = %s AND a = $1 AND a = ?")
        assert found.method == "sqlglot"


def test_earlier_statements_teach_later_ones() -> None:
    made, read = parse("CREATE TEMP TABLE n AS SELECT a AS k, b FROM t; INSERT INTO s SELECT * FROM n")
    assert made.target == "public.n"
    assert read.direct() == {"a": (("public.n", "k"),), "d": (("public.n", "b"),)}
    assert read.confidence == 0.95
