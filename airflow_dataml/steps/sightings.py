"""Sightings: a table that somebody else writes gets its place in the catalog."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import AssetNotFoundError

if TYPE_CHECKING:
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.refs import Relation

_NAME_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class Sighting:
    """A table that was seen.

    :param uri: the table among all tables of all databases, as ``postgres://host:port/database/schema/table``.
    :param conn_id: connection of its database, where that is not the ledger's own.
    :param producer: the task it was seen in.
    """

    relation: Relation
    uri: str
    conn_id: str | None = None
    producer: str | None = None


def asset_name(relation: Relation) -> str:
    """Return what a table is called in the catalog when nobody gave it a name.

    >>> from airflow_dataml.core.refs import Relation
    >>> asset_name(Relation("public", "orders")), asset_name(Relation("Sales 2026", "Ördérs"))
    ('orders', 'sales_2026_rd_rs')
    >>> asset_name(Relation("public", "2026")), asset_name(Relation("public", "表"))
    ('t_2026', 't')
    """
    words = relation.name if relation.schema == "public" else f"{relation.schema}_{relation.name}"
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if not plain or not plain[0].isalpha():
        plain = f"t_{plain}"
    return plain[:_NAME_CHARACTERS].strip("_")


def enter_table(ledger: Ledger, seen: Sighting) -> str:
    """Return the asset a table is in the catalog, entering it where it is not.

    A table that a managed dataset's readers query is that dataset. Another table of the same name, in another
    schema or database, gets a name of its own.
    """
    table = str(seen.relation)
    name = ledger.assets.at(uri=seen.uri, table=None if seen.conn_id else table)
    if name is not None:
        return name
    name = asset_name(seen.relation)
    if _taken(ledger, name):
        mark = hashlib.sha256(seen.uri.encode()).hexdigest()[:6]
        name = f"{name[: _NAME_CHARACTERS - 7]}_{mark}"
    location = {"table": table, "conn_id": seen.conn_id, "producer": seen.producer}
    ledger.assets.register(
        name=name,
        kind="external",
        uri=seen.uri,
        location={key: value for key, value in location.items() if value},
        source="observed",
    )
    return name


def _taken(ledger: Ledger, name: str) -> bool:
    try:
        ledger.assets.get(name)
    except AssetNotFoundError:
        return False
    return True
