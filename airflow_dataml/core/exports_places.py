"""Where an asset is, as catalogs with databases and schemas, or with platforms, have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_dataml.core.exports import ExportedAsset, Upstream
    from airflow_dataml.core.refs import Relation

# By the scheme of OpenLineage's namespace: DataHub's platform and OpenMetadata's type of service.
_PLATFORMS = {
    "postgres": ("postgres", "Postgres"),
    "mysql": ("mysql", "Mysql"),
    "snowflake": ("snowflake", "Snowflake"),
    "bigquery": ("bigquery", "BigQuery"),
    "redshift": ("redshift", "Redshift"),
    "trino": ("trino", "Trino"),
    "mssql": ("mssql", "Mssql"),
    "oracle": ("oracle", "Oracle"),
    "hive": ("hive", "Hive"),
    "unitycatalog": ("databricks", "UnityCatalog"),
    "kafka": ("kafka", "CustomDatabase"),
    "s3": ("s3", "Datalake"),
    "gs": ("gcs", "Datalake"),
    "abfs": ("abs", "Datalake"),
    "abfss": ("abs", "Datalake"),
    "file": ("file", "Datalake"),
    "mlflow": ("mlflow", "CustomDatabase"),
}
_OTHER = ("dataml", "CustomDatabase")
# In these an object's name begins with the bucket, which OpenLineage has in the namespace.
_BUCKETS = ("s3", "gcs", "abs")


class Platform(NamedTuple):
    """A kind of system: what DataHub and OpenMetadata call it."""

    datahub: str
    openmetadata: str


class Place(NamedTuple):
    """A table among all tables of a platform."""

    database: str
    schema: str
    table: str


def platform_of(namespace: str) -> Platform:
    """Return what kind of system a namespace of OpenLineage is of.

    >>> platform_of("postgres://db:5432").datahub, platform_of("bigquery").datahub, platform_of("x").datahub
    ('postgres', 'bigquery', 'dataml')
    """
    scheme = namespace.partition(":")[0].lower()
    return Platform(*_PLATFORMS.get(scheme, _OTHER))


def platform_name(asset: ExportedAsset | Upstream) -> str:
    """Return an asset's name on its platform, as DataHub's own connectors have it."""
    platform = platform_of(asset.namespace).datahub
    if platform in _BUCKETS:
        bucket = urlsplit(asset.namespace).netloc
        return f"{bucket}/{asset.lineage_name.lstrip('/')}"
    if platform == "dataml":
        known = asset.namespace == "dataml"
        return asset.name if known else f"{asset.namespace}/{asset.lineage_name}"
    return asset.lineage_name


def place_of(
    *, name: str, lineage_name: str, relation: Relation | None, database: str | None, schema: str
) -> Place:
    """Return the place of a table; what has no database or schema is put into ones of the export.

    :param schema: where assets go that have none; their database is called the same.
    """
    if relation is None:
        return Place(schema, schema, name)
    return Place(database or database_of(lineage_name, relation) or schema, relation.schema, relation.name)


def database_of(lineage_name: str, relation: Relation) -> str | None:
    """Return the database in OpenLineage's name of a table.

    >>> from airflow_dataml.core.refs import Relation
    >>> database_of("shop.public.rides", Relation("public", "rides"))
    'shop'
    """
    tail = f".{relation.schema}.{relation.name}"
    return lineage_name.removesuffix(tail) if lineage_name.endswith(tail) else None
