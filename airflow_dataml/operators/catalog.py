"""Operators that fill the catalog: with what DAGs and files declare, and with what databases hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.crawl import PostgresCrawls, PostgresTables
from airflow_dataml.assets import entry_of
from airflow_dataml.core.catalog_yaml import read_entries
from airflow_dataml.core.crawl import CrawlScope
from airflow_dataml.core.errors import SpecError
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.base import DataMLOperator, authored
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.crawl import crawl_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class CatalogRegisterOperator(DataMLOperator):
    """Enter assets into the catalog: owner, documentation, terms, promises of freshness, and whatever else is declared.

    What is declared already costs next to nothing, so it may run as often as one likes.

    :param assets: assets of ours, as ``dataset(...)``, ``external(...)`` and ``model(...)`` return them.
    :param path: a YAML file with more, of any kind, under ``assets``.
    """

    template_fields: Sequence[str] = ("path",)

    def __init__(self, *, assets: Sequence[Asset] = (), path: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.assets = assets
        self.path = path

    def declares(self) -> Declared:
        """Return what kind of work it is; it touches no data."""
        return Declared(kind="REGISTRATION")

    def execute(self, context: Context) -> dict[str, int]:
        """Register, and return how many were new, changed and unchanged."""
        del context
        if not self.assets and not self.path:
            msg = f"task {self.task_id!r} registers nothing: give it assets, or the path of a file of them."
            raise SpecError(msg)
        entries = [entry_of(asset) for asset in self.assets]
        entries += read_entries(Path(self.path)) if self.path else ()
        with self.ledger() as ledger:
            done = ledger.catalog.register_all(map(ledger.assets.with_names, entries))
        self.log.info("Registered %s assets: %s", len(entries), done)
        return done.to_dict()


class CatalogCrawlOperator(DataMLOperator):
    """Enter every table and view of a PostgreSQL database into the catalog, and mark what is gone as missing.

    Nothing is marked unless the crawl reached its end. Views of datasets of ours are recognised as these.

    :param conn_id: connection of the database; the ledger's own unless given.
    :param scope: a ``CrawlScope`` or its fields ``include`` and ``exclude``: patterns of schemas, or of
        tables as ``schema.table``.
    :param scope_name: what the crawl answers for; the database unless given. A table belongs to the crawl
        that saw it last.
    """

    template_fields: Sequence[str] = ("conn_id", "scope", "scope_name")

    def __init__(
        self,
        *,
        conn_id: str | None = None,
        scope: CrawlScope | Mapping[str, Any] | None = None,
        scope_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.scope = scope
        self.scope_name = scope_name
        self._other: Connection | None = None

    def declares(self) -> Declared:
        """Return what kind of work it is; it reads descriptions, and no data."""
        return Declared(kind="CRAWL")

    def execute(self, context: Context) -> dict[str, Any]:
        """Crawl, and return how many tables were new, changed, unchanged and missing."""
        within = authored(CrawlScope, self.scope)
        with self.ledger() as ledger:
            dsn = DataMLHook(self.conn_id or self.dataml_conn_id or _ledger_conn_id()).dsn()
            with Connection(dsn) as other:
                self._other = other
                done = crawl_tables(
                    ledger=ledger,
                    crawls=PostgresCrawls(ledger.connection),
                    tables=PostgresTables(other),
                    identity=self.identity(context),
                    within=within,
                    scope=self.scope_name,
                    conn_id=None if other.target == ledger.connection.target else self.conn_id,
                )
        return done.to_dict()

    def on_kill(self) -> None:
        """Cancel what runs in either database; the crawl marks nothing."""
        super().on_kill()
        if self._other is not None:
            self._other.cancel()


def _ledger_conn_id() -> str:
    from airflow_dataml import config

    return config.conn_id()
