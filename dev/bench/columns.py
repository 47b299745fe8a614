"""Column lineage of the 121 TPC-H and TPC-DS queries against PostgreSQL's own analysis.

    python -m dev.bench.columns

Exact are output columns whose sources are all found and no other: every column the expression reads, which is what
openlineage-sql tells. It is what Airflow's OpenLineage provider uses, and it takes no schemas.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.analyzer import PostgresAnalyzer
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.sqlglot import SqlglotParser
from dev import tpc
from dev.embedded import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Callable

Sources = list[tuple[str, set[tuple[str, str]]]]


def openlineage(suite: str, sql: str) -> Sources:
    from openlineage_sql import parse

    found = parse([sql], dialect="postgres", default_schema=suite)
    return [
        (column.descendant.name.lower(), {
            (_table(one.origin, suite), one.name.lower()) for one in column.lineage if one.origin is not None
        })
        for column in found.column_lineage
    ]  # fmt: skip


def _table(origin: object, suite: str) -> str:
    return f"{getattr(origin, 'schema', None) or suite}.{getattr(origin, 'name', '')}".lower()


def _sources(lineage: object) -> Sources:
    return [(name, {(s.relation, s.column) for s in found}) for name, found in lineage.outputs]  # type: ignore[attr-defined]


def measure(read: Callable[[str, str], Sources], oracle: list[Sources]) -> str:
    exact, right, took = 0, 0, []
    for (suite, _, sql), truth in zip(tpc.queries(), oracle, strict=True):
        began = time.process_time()
        found = read(suite, sql)
        took.append((time.process_time() - began) * 1000)
        # It sorts columns by name and leaves out those without a source.
        named = dict(found)
        hits = sum(
            (one in found[i : i + 1]) or named.get(one[0], set()) == one[1] for i, one in enumerate(truth)
        )
        exact += hits
        right += hits == len(truth)
    total = sum(len(truth) for truth in oracle)
    return (
        f"{exact:>4} of {total} ({100 * exact / total:5.1f} %)  {right:>3} of {len(oracle)}  "
        f"{statistics.mean(took):6.1f} {statistics.median(took):6.1f} {max(took):6.1f}"
    )


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="dataml-columns-") as folder,
        embedded_postgres(Path(folder) / "data") as dsn,
        Connection(dsn) as db,
    ):
        tpc.create_tables(db)
        analyzer, parser, schemas = PostgresAnalyzer(db), SqlglotParser(limit_s=30), tpc.schemas()
        oracle = [_sources(analyzer.analyze(sql, default_schema=suite)[0]) for suite, _, sql in tpc.queries()]

        def exactly(suite: str, sql: str) -> Sources:
            return _sources(analyzer.analyze(sql, default_schema=suite)[0])

        def parsed(suite: str, sql: str) -> Sources:
            return _sources(parser.parse(sql, schemas=schemas, default_schema=suite)[0])

        print(f"{'':24}{'exact columns':22}{'all right':12}CPU ms mean, median, max")
        for name, read in (
            ("openlineage-sql", openlineage),
            ("parser (sqlglot)", parsed),
            ("analyzer", exactly),
            ("parser, kept answers", parsed),
        ):
            print(f"{name:24}{measure(read, oracle)}", flush=True)


if __name__ == "__main__":
    main()
