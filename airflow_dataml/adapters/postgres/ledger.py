"""The ledger on PostgreSQL: every part of it over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from airflow_dataml.adapters.postgres import migrate
from airflow_dataml.adapters.postgres.branches import PostgresBranches
from airflow_dataml.adapters.postgres.catalog import PostgresAssets
from airflow_dataml.adapters.postgres.catalog_curation import PostgresCuration
from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.adapters.postgres.column_maps import PostgresColumnMaps
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.delivery import PostgresDelivery
from airflow_dataml.adapters.postgres.events import PostgresEvents
from airflow_dataml.adapters.postgres.evidence import PostgresAudit, PostgresIncidents, PostgresReports
from airflow_dataml.adapters.postgres.graph import PostgresLineage
from airflow_dataml.adapters.postgres.history import PostgresHistory
from airflow_dataml.adapters.postgres.outbox import PostgresOutbox
from airflow_dataml.adapters.postgres.pointers import PostgresPointers
from airflow_dataml.adapters.postgres.quarantine import PostgresQuarantine
from airflow_dataml.adapters.postgres.retention import PostgresRetention
from airflow_dataml.adapters.postgres.runs import PostgresRuns
from airflow_dataml.adapters.postgres.samples import PostgresSamples
from airflow_dataml.adapters.postgres.states import PostgresStates
from airflow_dataml.adapters.postgres.store import PostgresStore
from airflow_dataml.adapters.postgres.versions import PostgresVersions
from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
from airflow_dataml.core.errors import DataMLError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class PostgresLedger:
    """Ledger and warehouse over one connection, so that data and fact commit together.

    :param connection: a connection this ledger owns and closes.
    :param check: refuse a ledger whose schema this code does not fit; one short query.
    :raises LedgerVersionError: the ledger was not migrated, or is newer than this code.
    """

    def __init__(self, connection: Connection, *, check: bool = True) -> None:
        self.connection = connection
        if check:
            self._check()
        self.runs = PostgresRuns(connection)
        self.assets = PostgresAssets(connection)
        self.catalog = PostgresCatalog(connection)
        self.curation = PostgresCuration(connection)
        self.versions = PostgresVersions(connection)
        self.branches = PostgresBranches(connection)
        self.retention = PostgresRetention(connection)
        self.reports = PostgresReports(connection)
        self.lineage = PostgresLineage(connection)
        self.columns = PostgresColumnMaps(connection)
        self.events = PostgresEvents(connection)
        self.delivery = PostgresDelivery(connection)
        self.incidents = PostgresIncidents(connection)
        self.audit = PostgresAudit(connection)
        self.outbox = PostgresOutbox(connection)
        self.history = PostgresHistory(connection)
        self.states = PostgresStates(connection)
        self.pointers = PostgresPointers(connection)
        self.quarantine = PostgresQuarantine(connection)
        self.samples = PostgresSamples(connection)
        self.warehouse = PostgresWarehouse(connection)
        self.store = PostgresStore(connection, self.warehouse)

    @classmethod
    def connect(cls, dsn: str, *, check: bool = True) -> Self:
        """Open a ledger by connection string."""
        return cls(Connection(dsn), check=check)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()

    def _check(self) -> None:
        try:
            migrate.check(self.connection)
        except DataMLError:
            self.connection.close()
            raise

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, over ledger and warehouse."""
        return self.connection.transaction()
