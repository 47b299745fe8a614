"""Entries of the catalog from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_dataml.core.catalog import AssetEntry, ColumnDoc
from airflow_dataml.core.catalog_names import aliases_of
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import ASSET_KINDS, AssetKind, AssetNaming

if TYPE_CHECKING:
    from pathlib import Path


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AuthoredColumn(_Strict):
    """One column as a file describes it; without types in all of them, the file says nothing about the schema."""

    name: str
    type: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()


class AuthoredAsset(_Strict):
    """One asset as a file describes it.

    :param freshness_s: the promise: seconds between two writes.
    :param aliases: its other names, each as ``[namespace, name]``.
    """

    name: str
    kind: AssetKind = "external"
    uri: str | None = None
    subtype: str | None = None
    owner: str | None = None
    description: str | None = None
    documentation: str | None = None
    importance: Literal["critical", "high", "moderate", "low"] | None = None
    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    domain: str | None = None
    group: str | None = None
    freshness_s: int | None = Field(default=None, gt=0)
    columns: tuple[AuthoredColumn, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    location: dict[str, Any] = Field(default_factory=dict)

    def entry(self) -> AssetEntry:
        """Return the entry it is."""
        uri = self.uri or AssetNaming().uri(self.kind, self.name)
        typed = bool(self.columns) and all(column.type for column in self.columns)
        return AssetEntry(
            uri=uri,
            asset_group=self.group,
            columns=tuple(Column(c.name, c.type or "") for c in self.columns) if typed else None,
            column_docs=tuple(
                ColumnDoc(c.name, c.description, c.tags, c.terms)
                for c in self.columns
                if c.description or c.tags or c.terms
            ),
            aliases=(*self.aliases, *aliases_of(uri)),
            **self.model_dump(exclude={"uri", "group", "columns", "aliases"}),
        )


class _File(_Strict):
    assets: tuple[AuthoredAsset, ...]


def read_entries(path: Path) -> tuple[AssetEntry, ...]:
    """Return the entries a YAML file declares under ``assets``.

    :raises SpecError: the file is not there, is no YAML, or says something nobody knows.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return tuple(asset.entry() for asset in _File.model_validate(content).assets)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        msg = f"{path} cannot be read as a file of assets: {err}"
        raise SpecError(msg) from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"{path}: {where or 'the file'}: {first['msg']}. Kinds are {', '.join(ASSET_KINDS)}; see the README for an example."
        raise SpecError(msg) from err
