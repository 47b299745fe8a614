"""Names and identities: how assets, versions and facts are called everywhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets_naming import LineageNaming

AssetKind = Literal["dataset", "model", "prediction", "external"]
ASSET_KINDS: tuple[AssetKind, ...] = ("dataset", "model", "prediction", "external")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,47}\Z")
_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLAIN = re.compile(r"[^\W\d][\w$]*\Z")
_PART = r'(?:[^\W\d][\w$]*|"(?:[^"]|"")+")'
_RELATION = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<name>{_PART})\Z")
IDENTIFIER_BYTES = 63


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


def check_alias(name: str, *, what: str = "alias") -> str:
    """Return the name of a pointer or a branch, or refuse it.

    >>> check_alias("dev-x")
    'dev-x'
    """
    if not _ALIAS.match(name):
        msg = (
            f"{what} {name!r} is not usable: write 1 to 48 lower-case letters, digits, underscores and "
            "hyphens, beginning with a letter."
        )
        raise SpecError(msg)
    return name


def check_identifier(name: str, *, what: str = "name") -> str:
    """Return a name PostgreSQL keeps as it is, or refuse it.

    >>> check_identifier("my table")
    'my table'
    """
    size = len(name.encode(errors="surrogatepass"))
    odd = "\x00" in name or any("\ud800" <= c <= "\udfff" for c in name)
    if odd or not 1 <= size <= IDENTIFIER_BYTES:
        why = "holds a character PostgreSQL has no place for" if odd else f"is {size} bytes long"
        msg = f"{what} {name!r} {why}: write 1 to {IDENTIFIER_BYTES} bytes without NUL."
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
    """A table or view in a Postgres database, always schema-qualified; any name PostgreSQL takes.

    >>> Relation.parse("public.rides").quoted
    '"public"."rides"'
    >>> Relation.parse('"my schema"."a ""b"" c"').name
    'a "b" c'
    >>> str(Relation("public", "my table"))
    'public."my table"'
    """

    schema: str
    name: str

    def __post_init__(self) -> None:
        check_identifier(self.schema, what="schema name")
        check_identifier(self.name, what="table name")

    @classmethod
    def parse(cls, text: str) -> Relation:
        """Read ``schema.table``; a bare ``table`` is in ``public``.

        A part with anything but letters, digits, _ and $ stands in double quotes, doubled inside, as in
        SQL. Unlike SQL, a plain part keeps its case.
        """
        found = _RELATION.match(text)
        if found is None:
            msg = (
                f"table {text!r} is not usable: write schema.table in plain letters, digits, _ and $, "
                'and other names in double quotes as in "my schema"."my table".'
            )
            raise SpecError(msg)
        return cls(_unquoted(found["schema"] or "public"), _unquoted(found["name"]))

    @property
    def quoted(self) -> str:
        """The relation as SQL, identifiers quoted."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.name)}"

    def __str__(self) -> str:
        return ".".join(
            part if _PLAIN.match(part) else quote_identifier(part) for part in (self.schema, self.name)
        )


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of an asset as people write it.

    ``rides`` is what is current, ``rides@17`` a version, ``ride_demand@champion`` or ``rides@dev-x`` what an
    alias points at, ``rides@2013-10-01`` what was current at a time.

    :param as_of: the time meant; a day alone is its first moment, and a time without zone is UTC.

    >>> VersionRef.parse("rides@17").number
    17
    >>> str(VersionRef.parse("rides@2013-10-01"))
    'rides@2013-10-01T00:00:00+00:00'
    """

    asset: str
    number: int | None = None
    alias: str | None = None
    as_of: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> VersionRef:
        """Read ``name``, ``name@number``, ``name@alias`` or ``name@time``."""
        asset, at, version = text.partition("@")
        check_name(asset)
        if not at:
            return cls(asset)
        if _NUMBER.match(version):
            return cls(asset, number=int(version))
        if _MOMENT.match(version):
            return cls(asset, as_of=_moment(text, version))
        return cls(asset, alias=check_alias(version))

    def __str__(self) -> str:
        suffix = self.number if self.number is not None else self.alias
        suffix = self.as_of.isoformat() if self.as_of else suffix
        return self.asset if suffix is None else f"{self.asset}@{suffix}"


def _moment(text: str, version: str) -> datetime:
    try:
        moment = datetime.fromisoformat(version)
    except ValueError as err:
        msg = f"{text!r} names no time: write it as in rides@2013-10-01 or rides@2013-10-01T09:30:00+00:00."
        raise SpecError(msg) from err
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
    piece: str = ""

    def __str__(self) -> str:
        return f"{self.task}/{self.asset}#{self.generation}" + (f"~{self.piece}" if self.piece else "")

    def of(self, piece: str) -> FactKey:
        """Return the key of one of several things this fact writes."""
        return replace(self, piece=piece)

    @property
    def digest(self) -> str:
        """Sixteen hex digits that name this fact where a path or table name is needed."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]


class AssetNaming(LineageNaming):
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
        return Relation(self.data_schema, self.fit(key.asset, f"_{key.digest}"))

    def branch_schema(self, branch: str) -> str:
        """Schema of a branch's views.

        >>> AssetNaming().branch_schema("dev-x")
        'branch_dev_x'
        """
        return "branch_" + check_alias(branch, what="branch").replace("-", "_")

    def fit(self, stem: str, suffix: str = "") -> str:
        """Return ``stem`` and ``suffix`` as one identifier; the stem gives way, by whole characters.

        >>> AssetNaming().fit("é" * 40, "_idx").count("é")
        29
        """
        room = IDENTIFIER_BYTES - len(suffix.encode())
        return stem.encode()[:room].decode(errors="ignore") + suffix
