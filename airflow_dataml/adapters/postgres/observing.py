"""Tables somebody else writes, read at one moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.fingerprints import describe_relation
from airflow_dataml.adapters.postgres.views import columns_of
from airflow_dataml.core.errors import NotFoundError, SpecError
from airflow_dataml.core.ports_observer import Observation
from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
    from airflow_dataml.core.stores import Grids, Rows

_LANDING = Relation("pg_temp", "dataml_landing")
_STATISTICS = """
SELECT pg_total_relation_size(c.oid) AS bytes, s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze,
       s.n_tup_ins AS inserted, s.n_tup_upd AS updated, s.n_tup_del AS deleted
FROM pg_class c JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.oid = to_regclass(%s) AND c.relpersistence <> 't'
"""


class PostgresTableObserver:
    """Looks at tables; see ``core.ports_observer.TableObserver``."""

    def __init__(self, connection: Connection, warehouse: PostgresWarehouse) -> None:
        self._db = connection
        self._warehouse = warehouse

    def observe(self, relation: Relation, *, grids: Grids, freshness: str | None = None) -> Observation:
        """Read a table in one snapshot, so that schema, fingerprint and profile are of the same rows."""
        with self._db.errors(), self._db.raw.transaction(force_rollback=True):
            self._db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            columns = columns_of(self._db, relation)
            if not columns:
                msg = f"{relation} is not a table this connection can see, or it has no column: check the name and the grants."
                raise SpecError(msg)
            names = [c.name for c in columns]
            if freshness is not None and freshness not in names:
                what = f"freshness column of {relation}"
                raise SpecError(str(NotFoundError.from_available(what, freshness, names)))
            fingerprint, profile = describe_relation(self._db, relation, columns, grids)
            return Observation(
                columns=columns,
                fingerprint=fingerprint,
                profile=profile,
                freshness=self._latest(relation, freshness) if freshness else None,
                statistics=self._statistics(relation),
            )

    @contextmanager
    def landed(self, rows: Rows) -> Iterator[Relation]:
        """Put rows into a temporary table, one batch at a time; it is gone afterwards."""
        self._drop_landing()
        self._warehouse.create_table(_LANDING, rows.columns)
        try:
            self._warehouse.copy_batches(_LANDING, [c.name for c in rows.columns], rows.batches)
            yield _LANDING
        finally:
            if self._db.raw.info.transaction_status.name == "IDLE":
                self._drop_landing()

    def _drop_landing(self) -> None:
        self._db.execute(f"DROP TABLE IF EXISTS {_LANDING.quoted}")

    def _latest(self, relation: Relation, column: str) -> str | None:
        name = quote_identifier(column)
        latest: str | None = self._db.scalar(f"SELECT to_json(max({name})) #>> '{{}}' FROM {relation.quoted}")
        return latest

    def _statistics(self, relation: Relation) -> dict[str, Any]:
        row = self._db.row(_STATISTICS, [relation.quoted]) or {}
        return {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in row.items()
            if value is not None
        }
