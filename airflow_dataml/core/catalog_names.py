"""What else an asset is called: the OpenLineage names that its uri or its table stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from airflow_dataml.core.refs import AssetNaming

if TYPE_CHECKING:
    from airflow_dataml.core.refs import Relation

NAMING = AssetNaming()
Alias = tuple[str, str]
_DATABASES = ("postgres", "postgresql")
_FILES = ("file", "s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "wasb", "wasbs", "hdfs")
_TABLE_PARTS = 3


def aliases_of(uri: str) -> tuple[Alias, ...]:
    """Return the OpenLineage names of an Airflow asset's uri; none for a scheme nobody named.

    >>> aliases_of("postgres://db:5432/shop/public/orders")
    (('postgres://db:5432', 'shop.public.orders'),)
    >>> aliases_of("s3a://lake/orders/"), aliases_of("file:///data/a.csv"), aliases_of("dataml://dataset/rides")
    ((('s3://lake', 'orders'),), (('file', '/data/a.csv'),), ())
    >>> aliases_of("my own words")
    ()
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return ()
    if parts.scheme in _DATABASES:
        words = [unquote(word) for word in parts.path.split("/") if word]
        if len(words) != _TABLE_PARTS:
            return ()
        return ((NAMING.lineage_namespace(host=parts.hostname, port=port), ".".join(words)),)
    if parts.scheme in _FILES and (parts.path or parts.netloc):
        found = NAMING.lineage_file(uri)
        return ((found.namespace, found.name),)
    return ()


def table_alias(relation: Relation, *, host: str | None, port: int | None, database: str) -> Alias:
    """Return the OpenLineage name of a table.

    >>> from airflow_dataml.core.refs import Relation
    >>> table_alias(Relation("public", "rides"), host="DB", port=None, database="shop")
    ('postgres://db:5432', 'shop.public.rides')
    """
    name = NAMING.lineage_name(database=database, relation=relation)
    return (NAMING.lineage_namespace(host=host, port=port), name)
