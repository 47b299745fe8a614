"""Names and identities: how assets, versions and facts are called everywhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from airflow_dataml.core.errors import SpecError

AssetKind = Literal["dataset", "model", "prediction", "external"]
ASSET_KINDS: tuple[AssetKind, ...] = ("dataset", "model", "prediction", "external")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
_RELATION = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}\Z")


def check_name(name: str, *, what: str = "asset name") -> str:
    """Return a logical name, or refuse it.

    >>> check_name("flight_features")
    'flight_features'
    """
    if not _NAME.match(name):
        msg = (
            f"{what} {name!r} is not usable: write 1 to 48 lower-case letters, digits and "
            "underscores, beginning with a letter."
        )
        raise SpecError(msg)
    return name


def quote_identifier(name: str) -> str:
    """Return any name as one SQL identifier.

    >>> quote_identifier('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def number_sql(name: str) -> str:
    """Return SQL that reads a numeric or boolean column as a number; PostgreSQL casts no boolean to one."""
    column = quote_identifier(name)
    return f"CASE {column}::text WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE {column}::text::double precision END"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view in a Postgres database, always schema-qualified.

    >>> Relation.parse("public.rides").quoted
    '"public"."rides"'
    """

    schema: str
    name: str

    def __post_init__(self) -> None:
        for part in (self.schema, self.name):
            if not _RELATION.match(part):
                msg = f"table {self.schema}.{self.name!s} is not usable: write schema.table in plain letters, digits, _ and $."
                raise SpecError(msg)

    @classmethod
    def parse(cls, text: str) -> Relation:
        """Read ``schema.table``; a bare ``table`` is in ``public``."""
        schema, _, name = text.rpartition(".")
        return cls(schema or "public", name)

    @property
    def quoted(self) -> str:
        """The relation as SQL, identifiers quoted."""
        return f'"{self.schema}"."{self.name}"'

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of an asset as people write it: ``rides@17``, ``rides`` (current) or ``ride_demand@champion``.

    >>> VersionRef.parse("rides@17")
    VersionRef(asset='rides', number=17, alias=None)
    >>> str(VersionRef.parse("ride_demand@champion"))
    'ride_demand@champion'
    """

    asset: str
    number: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> VersionRef:
        """Read ``name``, ``name@number`` or ``name@alias``."""
        asset, at, version = text.partition("@")
        check_name(asset)
        if not at:
            return cls(asset)
        if version.isdigit():
            return cls(asset, number=int(version))
        return cls(asset, alias=check_name(version, what="alias"))

    def __str__(self) -> str:
        suffix = self.number if self.number is not None else self.alias
        return self.asset if suffix is None else f"{self.asset}@{suffix}"


@dataclass(frozen=True, slots=True)
class TaskKey:
    """Which task wrote a fact; equal over every retry of that task."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.run_id}/{self.task_id}/{self.map_index}"


@dataclass(frozen=True, slots=True)
class FactKey:
    """Idempotency key of one fact: the task, the asset, and how often the task was deliberately run again.

    A retry has the same generation and so finds what its earlier try wrote. Clearing a *finished*
    task whose input has changed starts a new generation (see ``Ledger.begin_run``).
    """

    task: TaskKey
    asset: str
    generation: int = 1

    def __str__(self) -> str:
        return f"{self.task}/{self.asset}#{self.generation}"

    @property
    def digest(self) -> str:
        """Sixteen hex digits that name this fact where a path or table name is needed."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]


class AssetNaming:
    """Every naming decision in one place; subclass to change one.

    >>> AssetNaming().uri("dataset", "rides")
    'dataml://dataset/rides'
    """

    data_schema = "dataml_data"

    def uri(self, kind: AssetKind, name: str) -> str:
        """Airflow asset uri; the same in every environment."""
        return f"dataml://{kind}/{check_name(name)}"

    def retrain_uri(self, model: str) -> str:
        """Uri of the asset whose event asks for a new version of a model."""
        return f"dataml://model/{check_name(model)}/retrain"

    def part(self, key: FactKey) -> Relation:
        """Physical table of the part that one fact stages; equal over retries."""
        return Relation(self.data_schema, f"{key.asset[:40]}_{key.digest}")

    def lineage_namespace(self, *, host: str, port: int | None) -> str:
        """OpenLineage namespace of a Postgres server, as its naming spec has it."""
        return f"postgres://{host}:{port or 5432}"

    def lineage_name(self, *, database: str, relation: Relation) -> str:
        """OpenLineage name of a Postgres table."""
        return f"{database}.{relation.schema}.{relation.name}"
