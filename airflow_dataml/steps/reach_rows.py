"""Rows found by their key in the parts of a dataset, and in what lies beside its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.refs import Relation, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.datasets import Column, Part, Version
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.reach import RowKeys

_PAGE = 200
_PARTS_AT_ONCE = 20


def parts_of(ledger: Ledger, asset: str) -> tuple[dict[int, Part], list[tuple[Version, list[int]]]]:
    """Return the live parts of an asset by their ids, and of which each version is made."""
    parts: dict[int, Part] = {}
    of_version = []
    for version in _versions(ledger, asset):
        kept = [p for p in ledger.versions.manifest(version.version_id, profiles=False) if p.state == "live"]
        parts |= {part.part_id: part for part in kept}
        of_version.append((version, [part.part_id for part in kept]))
    return parts, of_version


def _versions(ledger: Ledger, asset: str) -> Iterator[Version]:
    page = ledger.versions.list(asset, limit=_PAGE)
    while page:
        yield from page
        page = ledger.versions.list(asset, before=page[-1].number, limit=_PAGE)


def count_in(warehouse: Warehouse, parts: Sequence[Part], keys: RowKeys) -> Iterator[tuple[int, int]]:
    """Yield how many of the rows each part has, by its id; a part without the key columns is left out."""
    searched = [part for part in parts if has_keys(part.columns, keys)]
    for at in range(0, len(searched), _PARTS_AT_ONCE):
        queries: list[str] = []
        values: list[list[str]] = []
        for part in searched[at : at + _PARTS_AT_ONCE]:
            condition, given = named(keys, part.columns)
            queries.append(
                f"SELECT {part.part_id:d} AS part, count(*) AS n FROM {part.relation.quoted} WHERE {condition}"
            )
            values += given
        for row in warehouse.query(" UNION ALL ".join(queries), values):
            yield row["part"], row["n"]


def count_aside(ledger: Ledger, warehouse: Warehouse, asset: str, keys: RowKeys) -> Iterator[str]:
    """Yield, in words, what holds the rows and is in no version: batches never published, rows set aside."""
    for part_id in ledger.retention.staged(asset):
        part = ledger.versions.part(part_id)
        if part.store == "postgres":
            for _, n in count_in(warehouse, [part], keys):
                if n:
                    yield f"part {part_id} of {asset}, in no version, holds {n} of them"
    for one in ledger.quarantine.open_of(asset):
        columns = ledger.versions.part(one.part_id).columns
        if has_keys(columns, keys):
            condition, values = named(keys, columns)
            table = Relation.parse(one.relation).quoted
            [row] = warehouse.query(f"SELECT count(*) AS n FROM {table} WHERE {condition}", values)
            if row["n"]:
                yield f"quarantine {one.quarantine_id} of {asset} holds {row['n']} of them"


def has_keys(columns: Sequence[Column], keys: RowKeys) -> bool:
    """Whether rows of these columns can be looked for."""
    return set(keys.columns) <= {column.name for column in columns}


def named(keys: RowKeys, columns: Sequence[Column]) -> tuple[str, list[list[str]]]:
    """Return the condition that a row is one of the named, and its values."""
    types = {column.name: column.type for column in columns}
    names = ", ".join(quote_identifier(name) for name in keys.columns)
    # One array per key column, of the column's type: few parameters for many rows, and an index is used.
    arrays = ", ".join(f"%s::text[]::{types[name]}[]" for name in keys.columns)
    values = [list(column) for column in zip(*keys.values, strict=True)]
    return f"({names}) IN (SELECT * FROM unnest({arrays}))", values
