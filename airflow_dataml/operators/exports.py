"""The operator that hands the catalog on to other tools."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_dataml.adapters.postgres.exporting import PostgresExports
from airflow_dataml.core.catalog import AssetFilter
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.exports import ExportSettings
from airflow_dataml.hooks.exports import server_of
from airflow_dataml.operators.base import DataMLOperator, authored
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.export import export_catalog, rows_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.stores import DatasetStore


class CatalogExportOperator(DataMLOperator):
    """Write the catalog in another tool's format, or tell it to that tool's server.

    Files are replaced whole, and a server told again has everything once, so that a retry is harmless. No
    connection, login or masked column is in an export.

    :param format: ``odcs``, ``croissant``, ``dcat``, ``frictionless``, ``datahub``, ``openmetadata`` or ``unity``.
    :param folder: where the files go, on the worker; not needed where a server is told.
    :param assets: names of what is exported; else everything ``within`` lets through.
    :param within: an ``AssetFilter``'s fields, such as ``{"domain": "mobility"}``.
    :param settings: an ``ExportSettings`` or its fields: publisher, licence, names in the other catalog.
    :param contracts: paths of contracts by asset, for ``odcs``; assets without one are told by their schema.
    :param with_data: write the rows of every dataset beside, as CSV; costs a scan of each.
    :param conn_id: connection of the server to tell, for ``datahub``, ``openmetadata`` and ``unity``: host with
        scheme, port, path in ``schema``, token in ``password``.
    """

    template_fields: Sequence[str] = (
        "format",
        "folder",
        "assets",
        "within",
        "settings",
        "contracts",
        "conn_id",
    )

    def __init__(
        self,
        *,
        format: str,
        folder: str | None = None,
        assets: Sequence[str] = (),
        within: Mapping[str, Any] | None = None,
        settings: ExportSettings | Mapping[str, Any] | None = None,
        contracts: Mapping[str, str] | None = None,
        with_data: bool = False,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.format = format
        self.folder = folder
        self.assets = assets
        self.within = within
        self.settings = settings
        self.contracts = contracts
        self.with_data = with_data
        self.conn_id = conn_id

    def declares(self) -> Declared:
        """Return what kind of work it is."""
        return Declared(kind="EXPORT")

    def execute(self, context: Context) -> dict[str, Any]:
        """Export, and return the files written, what was left out, and what the server came to have."""
        del context
        settings = authored(ExportSettings, self.settings)
        server = server_of(self.conn_id) if self.conn_id else None
        with self.ledger() as ledger:
            done = export_catalog(
                assets=PostgresExports(ledger.connection).assets(self.assets, _filter(self.within)),
                format=self.format,
                folder=Path(self.folder) if self.folder else None,
                settings=settings,
                contracts={
                    name: Path(path).read_text(encoding="utf-8")
                    for name, path in (self.contracts or {}).items()
                },
                rows_of=rows_reader(ledger=ledger, store_of=partial(_store_of, ledger))
                if self.with_data
                else None,
                server=server,
                on_progress=self.log.info,
            )
        for name, why in done.left_out.items():
            self.log.info("Left out %r: %s", name, why)
        return done.to_dict()


def _filter(within: Mapping[str, Any] | None) -> AssetFilter:
    said: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in (within or {}).items()
    }
    try:
        return AssetFilter(**said)
    except TypeError as err:
        msg = f"within={json.dumps(dict(within or {}), default=str)} is no filter of assets: {err}."
        raise SpecError(msg) from err


def _store_of(ledger: PostgresLedger, name: str) -> DatasetStore:
    location = ledger.assets.get(name)["location"]
    if location.get("store") != "delta":
        return ledger.store
    from airflow_dataml.adapters.delta import delta_store

    options: dict[str, str] = {}
    if conn_id := location.get("storage_conn_id"):
        extra = BaseHook.get_connection(conn_id).extra_dejson
        options = {str(key): str(value) for key, value in extra.items()}
    return delta_store(ledger, options)
