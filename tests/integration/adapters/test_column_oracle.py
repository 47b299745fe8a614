"""The parser against PostgreSQL's own analysis: the TPC queries, and queries nobody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from airflow_dataml.adapters.postgres.analyzer import PostgresAnalyzer
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.sqlglot import SqlglotParser
from dev import tpc
from dev.embedded import ensure_database
from tests.column_queries import Table, cases, using_joins

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long a machine takes says nothing of what it finds.
PARSER = SqlglotParser(limit_s=60)
OFTEN = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def db(postgres_server: str) -> Iterator[Connection]:
    with Connection(ensure_database(postgres_server, "column_oracle")) as connection:
        yield connection


def test_the_tpc_queries(db: Connection) -> None:
    tpc.create_tables(db)
    analyzer, schemas = PostgresAnalyzer(db), tpc.schemas()
    columns, exact, decided, queries = 0, 0, 0, tpc.queries()
    for suite, _, sql in queries:
        (oracle,) = analyzer.analyze(sql, default_schema=suite)
        (read,) = PARSER.parse(sql, schemas=schemas, default_schema=suite)
        assert oracle is not None
        assert read is not None
        assert read.inputs == oracle.inputs
        columns += len(oracle.outputs)
        exact += sum(one == other for one, other in zip(read.outputs, oracle.outputs, strict=True))
        decided += read.indirect == oracle.indirect
    assert (len(queries), columns) == (121, 684)
    assert exact / columns >= 0.995
    assert decided / len(queries) >= 0.995


def agree(db: Connection, tables: list[Table], sql: str) -> None:
    kinds = {"k": "integer", "m": "integer"}
    with db.raw.transaction(force_rollback=True):
        for table in tables:
            body = ", ".join(f"{c} {kinds.get(c, 'text')}" for c in table.columns)
            db.execute(f"CREATE TABLE {table.name} ({body})")
        (oracle,) = PostgresAnalyzer(db).analyze(sql)
    schemas = {f"public.{t.name}": {c.strip('"'): "text" for c in t.columns} for t in tables}
    (read,) = PARSER.parse(sql, schemas=schemas, default_schema="public")
    assert oracle is not None
    assert read is not None
    assert read.reason is None
    assert read.outputs == oracle.outputs
    assert read.indirect == oracle.indirect
    assert read.inputs == oracle.inputs


@OFTEN
@given(case=cases())
def test_random_queries(db: Connection, case: tuple[list[Table], str]) -> None:
    agree(db, *case)


@OFTEN
@given(case=using_joins())
def test_random_joins_by_name(db: Connection, case: tuple[list[Table], str]) -> None:
    agree(db, *case)
