"""What a contract is tried on: a table, a version, or a sample of either that nobody else sees."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract import DATA_SOURCE
from airflow_dataml.core.errors import SpecError, VersionNotFoundError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version

SAMPLE = Relation("pg_temp", "dataml_contract_sample")
VERSION = Relation("pg_temp", "dataml_contract_version")
# Below this many blocks the draw of whole blocks is too coarse.
_BLOCKS = 200
_ABOUT = """
SELECT c.relkind::text, c.relpages
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)
"""


def dataset_name(ledger: PostgresLedger, version: Version) -> str:
    """Return what a contract on a version calls its dataset: data source, database, schema and table."""
    database = ledger.connection.scalar("SELECT current_database()")
    table = version.facts.get("table")
    relation = Relation.parse(table) if isinstance(table, str) else Relation("public", version.asset)
    return "/".join([DATA_SOURCE, str(database), relation.schema, relation.name])


@contextmanager
def trial(
    ledger: PostgresLedger, *, relation: Relation, ref: str | None, rows: int | None
) -> Iterator[tuple[Any, Relation]]:
    """Yield a connection and what to read on it; whatever was made for that is rolled back.

    :param relation: the table or view, unless a version is meant.
    :param ref: a version such as ``rides@17``.
    :param rows: about how many rows to draw; all of them unless given.
    """
    source = relation if ref is None else VERSION
    with (
        ledger.warehouse.engine_connection() as connection,
        ledger.connection.errors(),
        connection.transaction(force_rollback=True),
    ):
        if ref is not None:
            connection.execute(f"CREATE TEMP VIEW {VERSION.name} AS {_version_sql(ledger, ref)}")
        if rows is not None:
            connection.execute(f"CREATE TEMP TABLE {SAMPLE.name} AS {_sample_sql(connection, source, rows)}")
            source = SAMPLE
        yield connection, source


def _version_sql(ledger: PostgresLedger, ref: str) -> str:
    version = ledger.versions.find(ref)
    parts = ledger.versions.manifest(version.version_id)
    columns = ledger.versions.columns(version.version_id)
    if not columns:
        msg = f"{version.ref} has no rows to look at; a contract is about a dataset."
        raise SpecError(msg)
    if not parts:
        msg = f"{version.ref} keeps no rows of its own; name the table with --table."
        raise VersionNotFoundError(msg)
    elsewhere = sorted(
        {store for part in parts if (store := getattr(part, "store", "postgres")) != "postgres"}
    )
    if elsewhere:
        msg = f"{version.ref} is kept in {', '.join(elsewhere)}; only rows in PostgreSQL can be tested from here."
        raise SpecError(msg)
    return ledger.warehouse.union(parts, columns)


def _sample_sql(connection: Any, source: Relation, rows: int) -> str:
    """SQL of a random draw: enough that it nearly surely holds the rows wanted, and no more than those."""
    about = connection.execute(_ABOUT, [source.quoted]).fetchone()
    if about is None:
        msg = f"there is no table or view {source} on this connection; name it with --table schema.table."
        raise SpecError(msg)
    kind, pages = about
    total = connection.execute(f"SELECT count(*) FROM {source.quoted}").fetchone()[0]
    share = min(1.0, (rows + 4 * math.sqrt(rows) + 4) / total) if total else 1.0
    draw = ""
    if share < 1 and kind in ("r", "m", "p"):
        method = "SYSTEM" if pages * share >= _BLOCKS else "BERNOULLI"
        draw = f" TABLESAMPLE {method} ({100 * share:.6f})"
    elif share < 1:
        draw = f" WHERE random() < {share:.9f}"
    return f"SELECT * FROM {source.quoted}{draw} LIMIT {rows}"
