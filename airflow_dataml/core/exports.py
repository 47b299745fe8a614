"""The catalog for other tools: what is exported of an asset, and what it becomes: documents and requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataml.core.refs import AssetKind, Relation

ExportFormat = Literal[
    "odcs", "croissant", "dcat", "frictionless", "datahub", "openmetadata", "unity"
]  # fmt: skip
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
# What can be sent to a server, and what describes rows that may stand beside it.
SENT: tuple[ExportFormat, ...] = ("datahub", "openmetadata", "unity")
WITH_ROWS: tuple[ExportFormat, ...] = ("croissant", "frictionless", "dcat")


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """One column.

    :param type: the Postgres type as ``format_type`` writes it; empty where nobody knows it.
    :param nullable: whether the profile of the current version saw nulls; ``None`` where it cannot tell.
    """

    name: str
    type: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    nullable: bool | None = None


@dataclass(frozen=True, slots=True)
class ExportedVersion:
    """The version that readers see: the current one, of a model its champion, else the newest."""

    number: int
    created_at: datetime
    rows: int | None = None
    bytes: int | None = None
    fingerprint: str | None = None
    partition_key: str | None = None
    # Whether its rows are kept by us and can be written out.
    readable: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """What an asset is made from.

    :param columns: target column, source column and ``direct`` or ``indirect``, where that is known.
    """

    name: str
    kind: AssetKind
    namespace: str
    lineage_name: str
    columns: tuple[tuple[str, str, str], ...] = ()
    confidence: float = 1.0
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of the version of a model."""

    framework: str | None = None
    format: str | None = None
    task: str | None = None
    target: str | None = None
    features: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    source: str | None = None
    run_id: str | None = None
    trained_on: str | None = None


@dataclass(frozen=True, slots=True)
class ExportedAsset:
    """One asset as other tools may know it; no connection, login or value of a row is in it.

    :param namespace: of OpenLineage, with ``lineage_name``: what other tools that follow it call the asset.
    :param relation: its table, where it is one of PostgreSQL.
    :param masked: columns whose values nobody may see; they are never written out.
    :param contract: text of its contract, if the export was given one.
    """

    name: str
    kind: AssetKind
    uri: str
    namespace: str
    lineage_name: str
    subtype: str | None = None
    description: str | None = None
    documentation: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    domain: str | None = None
    group: str | None = None
    importance: str = "moderate"
    freshness_s: int | None = None
    status: str = "active"
    first_seen: datetime | None = None
    columns: tuple[ExportedColumn, ...] = ()
    version: ExportedVersion | None = None
    relation: Relation | None = None
    database: str | None = None
    store: str = "postgres"
    masked: frozenset[str] = frozenset()
    upstream: tuple[Upstream, ...] = ()
    model: ModelFacts | None = None
    contract: str | None = None

    @property
    def about(self) -> str:
        """One line about it that is never empty."""
        return self.description or f"{self.kind.capitalize()} {self.name}"


class ExportSettings(BaseModel):
    """What an export says that the ledger does not know.

    :param title: of the catalog, in DCAT.
    :param base_uri: what the IRIs of catalog and datasets begin with.
    :param publisher: who publishes the catalog, in DCAT and Croissant.
    :param contact: name and ``contact_email`` of whom to ask, in DCAT and in contracts.
    :param themes: IRI of a theme by domain, in DCAT; of the EU's vocabulary for a portal of the EU.
    :param license: IRI of the licence of the data.
    :param environment: the fabric, in DataHub.
    :param service: name of the database service in OpenMetadata; each other platform has one of its own after it.
    :param catalog: name of the catalog in Unity Catalog; ``database_schema`` is where assets that have no schema go.
    :param storage_root: uri below which Unity Catalog is told that tables are, where they have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = "Data catalog"
    description: str = "Datasets that Airflow keeps."
    base_uri: str = "https://example.org/dataml/"
    publisher: str = "DataML"
    publisher_uri: str | None = None
    contact: str | None = None
    contact_email: str | None = None
    themes: dict[str, str] = Field(default_factory=dict)
    license: str | None = None
    language: str | None = None
    environment: str = "PROD"
    service: str = "dataml"
    catalog: str = "dataml"
    database_schema: str = "default"
    storage_root: str = "s3://dataml"


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Rows of a version, written out.

    :param path: relative to the export's folder.
    :param columns: those that are in it, in order.
    """

    path: str
    sha256: str
    bytes: int
    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportDocument:
    """One file of an export.

    :param path: relative to the export's folder.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One thing for a server to have, told so that telling it twice is telling it once.

    :param item: what it is about, as people call it.
    :param find: path to look at first: where it answers, ``update`` is sent instead, and nothing where there is none.
    :param update: method, path and body for what is there already.
    :param within: for what has a number of the server's: the list in the answer of ``find``, and the field of the
        body by which our one is known in it.
    :param then: what makes it final, with ``{version}`` for the server's number.
    :param entity: what other requests call it, to put the server's id of it into theirs.
    """

    item: str
    method: str
    path: str
    body: Mapping[str, Any]
    find: str | None = None
    update: tuple[str, str, Mapping[str, Any]] | None = None
    within: tuple[str, str] | None = None
    then: tuple[str, str, Mapping[str, Any]] | None = None
    entity: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what is not said is not there."""
        said: dict[str, Any] = {
            "item": self.item,
            "method": self.method,
            "path": self.path,
            "body": dict(self.body),
        }
        if self.find:
            said["find"] = self.find
        if self.within:
            said["within"] = list(self.within)
        for name, step in (("update", self.update), ("then", self.then)):
            if step:
                said[name] = {"method": step[0], "path": step[1], "body": dict(step[2])}
        return said | ({"entity": self.entity} if self.entity else {})


# A body that holds {ID_OF: entity} gets the server's id of that entity in its place.
ID_OF = "$id"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an export comes to in one format.

    :param requests: the same for a server, for the formats that have one.
    :param left_out: names of assets the format has no place for, with the reason.
    """

    documents: tuple[ExportDocument, ...]
    requests: tuple[ApiRequest, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def check_format(format: str, *, send: bool = False, with_data: bool = False) -> ExportFormat:
    """Return a format that can do what is asked of it, or refuse.

    >>> check_format("dcat")
    'dcat'
    """
    known = next((one for one in FORMATS if one == format), None)
    if known is None:
        msg = f"format {format!r} is unknown: write one of {', '.join(FORMATS)}."
        raise SpecError(msg)
    for asked, able, what in ((send, SENT, "sent to a server"), (with_data, WITH_ROWS, "given rows")):
        if asked and known not in able:
            msg = f"format {known!r} cannot be {what}: only {', '.join(able)} can."
            raise SpecError(msg)
    return known
