"""The plugin: our page in Airflow's UI, the API behind it, and the listener that observes assets.

Airflow loads this class in every process, each task's included; the API is built only where the web
server asks for it.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_dataml.listeners.catalog import CatalogListener
from airflow_dataml.listeners.lineage import LineageListener

log = logging.getLogger(__name__)
NAME = "DataML"
ROUTE = "dataml"


class DataMLPlugin(AirflowPlugin):
    """Catalog, lineage, incidents and audit in Airflow's navigation.

    The two properties stand where the base class has lists, as Airflow's documentation advises.
    """

    name = "dataml"
    listeners: list[Any] = [CatalogListener(), LineageListener()]  # noqa: RUF012 - as the base class declares it

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The API under ``/dataml``; none when ``[dataml] ui`` is off."""
        if not _ui():
            return []
        try:
            from airflow_dataml.api.app import create_app

            return [{"app": create_app(), "url_prefix": f"/{ROUTE}", "name": f"{NAME} API"}]
        except Exception:
            # Raising would keep Airflow's API server from starting.
            log.exception("The DataML page is off: its API could not be built")
            return []

    @cached_property
    def react_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page; its modules are taken from the API, at an address relative to Airflow's own."""
        if not _ui():
            return []
        from airflow_dataml.api.modules import MAIN, digest

        return [
            {
                "name": NAME,
                "bundle_url": f"{ROUTE}/static/{digest()}/{MAIN}",
                "destination": "nav",
                "url_route": ROUTE,
                "nav_top_level": True,
            }
        ]


def _ui() -> bool:
    from airflow.sdk import conf

    return bool(conf.getboolean("dataml", "ui", fallback=True))
