"""Links from a task to what it wrote, on the DataML page: the thing itself, its lineage, its incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

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
    >>> asset_path("s3://lake/rides")
    'asset/s3%3A%2F%2Flake%2Frides'
    """
    return _path(f"asset/{quote(name, safe='')}", version=version, report=report)


def lineage_path(path: str) -> str:
    """Return where the lineage of what is at a path is looked at.

    >>> lineage_path("asset/rides?version=3")
    'lineage/rides?version=3'
    >>> lineage_path("asset/ride_late?report=7")
    'lineage/ride_late?node=report%3A7'
    """
    place, _, query = path.partition("?")
    asked = dict(parse_qsl(query))
    report = asked.get("report")
    node = f"report:{report}" if report else None
    return _path(f"lineage/{place.partition('/')[2]}".rstrip("/"), version=asked.get("version"), node=node)


def incidents_path(path: str) -> str:
    """Return where the incidents of what is at a path are looked at, resolved ones too.

    >>> incidents_path("asset/rides?report=7")
    'incidents?asset=rides&state=all'
    """
    name = unquote(path.partition("?")[0].partition("/")[2])
    return _path("incidents", asset=name or None, state="all")


def _path(place: str, **asked: int | str | None) -> str:
    query = {key: value for key, value in asked.items() if value is not None}
    return place + (f"?{urlencode(query)}" if query else "")


def _written(ti_key: Any) -> str:
    """What the task said last that it is about; nothing where it did not come so far."""
    return str(XCom.get_value(key=LINK_KEY, ti_key=ti_key) or "")


def _address(path: str) -> str:
    base = str(conf.get("api", "base_url", fallback="") or "/").rstrip("/")
    return f"{base}/{PAGE}/{path}".rstrip("/")


class LedgerLink(BaseOperatorLink):
    """Opens the dataset, model or report that the task wrote."""

    name = "DataML"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the page of what the task wrote; the catalog when it wrote nothing."""
        return _address(_written(ti_key))


class LineageLink(BaseOperatorLink):
    """Opens the lineage of what the task wrote, at the version it wrote."""

    name = "Lineage"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the graph around what the task wrote; where one chooses an asset when it wrote nothing."""
        return _address(lineage_path(_written(ti_key)))


class IncidentsLink(BaseOperatorLink):
    """Opens the incidents of what the task looked at, for operators that open some."""

    name = "Incidents"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the incidents of the asset the task looked at; all of them when it came to none."""
        return _address(incidents_path(_written(ti_key)))
