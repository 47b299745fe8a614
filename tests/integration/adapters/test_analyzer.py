"""Column lineage from the server's own analysis, and the parser against it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.analyzer import PostgresAnalyzer
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.sqlglot import SqlglotParser
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import BackendError, SpecError
from tests.column_cases import CASES, SCHEMAS, TABLES, Case, flows, qualified

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.column_lineage import QueryLineage


@pytest.fixture(scope="module")
def tables(postgres_server: str) -> Iterator[Connection]:
    from dev.embedded import ensure_database

    with Connection(ensure_database(postgres_server, "analyzer")) as db:
        db.raw.execute(TABLES)
        yield db


@pytest.fixture
def analyzer(tables: Connection) -> PostgresAnalyzer:
    return PostgresAnalyzer(tables)


def found(lineage: QueryLineage) -> dict[str, set[tuple[str, str, str]]]:
    outputs = {name: {(s.relation, s.column, s.via) for s in sources} for name, sources in lineage.outputs}
    return outputs | {"*": {(s.relation, s.column, s.via) for s in lineage.indirect}}


def told(case: Case) -> dict[str, set[tuple[str, str, str]]]:
    return {name: flows(text) for name, text in case.outputs.items()} | {"*": flows(case.rows)}


def check(case: Case, lineage: QueryLineage) -> None:
    assert found(lineage) == told(case)
    assert [name for name, _ in lineage.outputs] == list(case.outputs)
    assert lineage.inputs == tuple(sorted(qualified(name.replace("~", " ")) for name in case.inputs.split()))
    assert lineage.target == (qualified(case.target) if case.target else None)
    assert lineage.statement == case.statement


class TestKnownByHand:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
    def test_the_server_tells(self, analyzer: PostgresAnalyzer, case: Case) -> None:
        (lineage,) = analyzer.analyze(case.sql)
        assert lineage is not None
        check(case, lineage)
        assert (lineage.method, lineage.confidence) == ("analyzer", 1.0)

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
    def test_the_parser_tells(self, case: Case) -> None:
        (lineage,) = SqlglotParser().parse(case.sql, schemas=SCHEMAS, default_schema="public")
        assert lineage is not None
        check(case, lineage)
        assert (lineage.method, lineage.confidence) == ("sqlglot", 0.95)


class TestTheServer:
    def test_a_search_path_decides(self, analyzer: PostgresAnalyzer) -> None:
        (lineage,) = analyzer.analyze("SELECT a FROM t", default_schema="other")
        assert lineage is not None
        assert lineage.inputs == ("other.t",)

    def test_named_tables_come_before_others(self, analyzer: PostgresAnalyzer) -> None:
        (lineage,) = analyzer.analyze('SELECT "K" FROM t', tables={"t": [Column("K", "integer")]})
        assert lineage is not None
        assert lineage.direct() == {"K": (("pg_temp.t", "K"),)}

    def test_statements_after_what_they_create(self, analyzer: PostgresAnalyzer) -> None:
        made, view, read = analyzer.analyze(
            "CREATE TEMP TABLE n AS SELECT a AS k FROM t; CREATE VIEW w AS SELECT k FROM n; SELECT k + 1 AS m FROM w"
        )
        assert made is not None
        assert view is not None
        assert read is not None
        assert read.direct()["m"][0][1] == "k"

    def test_what_moves_no_rows_is_nothing(self, analyzer: PostgresAnalyzer) -> None:
        sql = "SET work_mem = '4MB'; BEGIN; CREATE INDEX ON t (b); CREATE TABLE z (a integer); ; COMMIT"
        assert analyzer.analyze(sql) == (None,) * 5

    def test_a_with_that_writes_has_its_own_entry(self, analyzer: PostgresAnalyzer) -> None:
        gone, moved = analyzer.analyze(
            "WITH g AS (DELETE FROM t WHERE c = 1 RETURNING a, b) INSERT INTO s (a, d) SELECT a, b FROM g"
        )
        assert gone is not None
        assert moved is not None
        assert (gone.statement, gone.target) == ("delete", "public.t")
        assert moved.direct() == {"a": (("public.t", "a"),), "d": (("public.t", "b"),)}
        assert moved.inputs == ("public.t",)

    def test_nothing_stays_and_nothing_runs(self, tables: Connection, analyzer: PostgresAnalyzer) -> None:
        tables.execute("CREATE SEQUENCE IF NOT EXISTS counter")
        before = tables.rows("SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_proc ORDER BY 1")
        analyzer.analyze(
            "INSERT INTO t (a) SELECT nextval('counter'); DELETE FROM s; CREATE TABLE n AS SELECT nextval('counter');"
            " SELECT * FROM n"
        )
        after = tables.rows("SELECT oid FROM pg_class UNION ALL SELECT oid FROM pg_proc ORDER BY 1")
        assert before == after
        assert tables.scalar("SELECT is_called FROM counter") is False

    def test_a_transaction_of_the_callers_goes_on(
        self, tables: Connection, analyzer: PostgresAnalyzer
    ) -> None:
        with tables.transaction():
            tables.execute("CREATE TEMP TABLE mine (k integer) ON COMMIT DROP")
            with pytest.raises(SpecError, match="does not exist"):
                analyzer.analyze("SELECT nope FROM mine")
            (lineage,) = analyzer.analyze("SELECT k FROM mine")
            assert tables.scalar("SHOW statement_timeout") == "0"
        assert lineage is not None
        assert lineage.inputs == ("pg_temp.mine",)

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1; END; DROP TABLE t; SELECT 1",
            "SELECT 1 END; DROP TABLE t --",
            "DROP TABLE t",
            "DO $$BEGIN END$$",
        ],
        ids=["ends-early", "ends-the-body", "drop", "do"],
    )
    def test_a_text_cannot_do_anything(
        self, tables: Connection, analyzer: PostgresAnalyzer, sql: str
    ) -> None:
        with suppress(SpecError):
            analyzer.analyze(sql)
        assert tables.scalar("SELECT to_regclass('public.t')::text") == "t"

    def test_a_lock_is_not_waited_for(self, postgres_server: str, tables: Connection) -> None:
        with Connection(tables._dsn) as other, other.transaction():
            other.execute("LOCK TABLE u IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(BackendError, match="timeout"):
                PostgresAnalyzer(tables, timeout_s=0.2).analyze("SELECT * FROM u")

    @pytest.mark.parametrize(
        "sql", ["SELEC 1", "@", "SELECT $1", "SELECT '"], ids=["typo", "sign", "parameter", "open"]
    )
    def test_what_the_server_refuses_is_said(self, analyzer: PostgresAnalyzer, sql: str) -> None:
        with pytest.raises(SpecError, match="does not understand"):
            analyzer.analyze(sql)


def test_a_materialized_view_is_shaped_and_not_filled(tables: Connection) -> None:
    tables.raw.execute("CREATE SEQUENCE IF NOT EXISTS asked")
    PostgresAnalyzer(tables).analyze(
        "CREATE MATERIALIZED VIEW filled AS SELECT nextval('asked') AS n; SELECT n FROM filled"
    )
    assert tables.scalar("SELECT is_called FROM asked") is False, (
        "a sequence keeps what a rollback takes back"
    )
