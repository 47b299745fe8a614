"""Links from a task to what it wrote, on the DataML page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow.sdk import BaseOperatorLink, conf
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

LINK_KEY = "dataml_link"
PAGE = "plugin/dataml"


def asset_path(name: str, *, version: int | None = None, report: int | None = None) -> str:
    """Return the path of an asset on the page.

    >>> asset_path("rides", version=3)
    'asset/rides?version=3'
    """
    query = {key: value for key, value in (("version", version), ("report", report)) if value is not None}
    return f"asset/{name}" + (f"?{urlencode(query)}" if query else "")


class LedgerLink(BaseOperatorLink):
    """Opens the dataset, model or report that the task wrote."""

    name = "DataML"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the page of what the task wrote; the catalog when it wrote nothing."""
        path = XCom.get_value(key=LINK_KEY, ti_key=ti_key) or ""
        base = str(conf.get("api", "base_url", fallback="") or "/").rstrip("/")
        return f"{base}/{PAGE}/{path}".rstrip("/")
