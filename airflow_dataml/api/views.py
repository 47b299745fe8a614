"""What the page shows of versions, put together from the ledger alone: profiles, and two versions side by side.

The API's role may not read parts, so rows are compared where a task or a person did it before, or as far as
manifests and fingerprints tell.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.reading_datasets import DatasetReading
from airflow_dataml.core.diffs import VersionSide, distribution_deltas
from airflow_dataml.core.profile_view import chart, column_view, columns_view, version_profile
from airflow_dataml.core.schemas import diff_schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Column, Part, Version

# Profiles are read and merged per request; 256 of them with 30 columns take two CPU-seconds.
MOST_PARTS = 256


def profile(ledger: PostgresLedger, ref: str, *, most_parts: int = MOST_PARTS) -> dict[str, Any]:
    """Return a version's columns with the numbers and bars of each.

    :param most_parts: of a version of more parts only names and types are shown, and why.
    """
    version = ledger.versions.find(ref)
    columns = ledger.versions.columns(version.version_id)
    parts, why = _parts(ledger, version, most_parts)
    shown = columns_view(
        columns,
        version_profile(columns, parts),
        masked=DatasetReading(ledger.connection).masked(version.asset),
    )
    return {"version": version.number, "rows": version.rows, "columns": shown, "missing": why}


def comparison(ledger: PostgresLedger, old: str, new: str, *, most_parts: int = MOST_PARTS) -> dict[str, Any]:
    """Return what is between two versions, as far as it is known without reading rows.

    :param most_parts: versions of more parts are compared by schema and fingerprint alone.
    """
    reading = DatasetReading(ledger.connection)
    versions = [ledger.versions.find(ref) for ref in (old, new)]
    before, after = versions
    schemas = [ledger.versions.columns(v.version_id) for v in versions]
    held = [_parts(ledger, v, most_parts) for v in versions]
    stored = reading.stored_diff(after.asset, before.ref, after.ref)
    return {
        "old": _side(before, held[0][0]),
        "new": _side(after, held[1][0]),
        "schema": diff_schemas(*schemas).to_dict(),
        "columns": _columns(schemas, [parts for parts, _ in held], masked=reading.masked(after.asset)),
        "missing": next((why for _, why in held if why), None),
        "manifest": None if any(why for _, why in held) else _manifest(*(parts for parts, _ in held)),
        "equal": before.fingerprint is not None
        and before.fingerprint == after.fingerprint
        and not before.fingerprint.startswith("mixed"),
        "rows": stored,
        "command": f"dataml dataset diff {before.ref} {after.ref}",
    }


def _parts(ledger: PostgresLedger, version: Version, most: int) -> tuple[tuple[Part, ...], str | None]:
    """Return a version's parts with their profiles, or why there are none."""
    count = DatasetReading(ledger.connection).parts(version.version_id)
    if count > most:
        return (), (
            f"{version.ref} is made of {count:,} parts, more than the page puts together at once: "
            f"`dataml dataset compact {version.asset}` writes small ones as one."
        )
    return ledger.versions.manifest(version.version_id), None


def _side(version: Version, parts: Sequence[Part]) -> dict[str, Any]:
    return asdict(VersionSide.of(version)) | {
        "number": version.number,
        "created_at": version.created_at,
        "partition_key": version.partition_key,
        "kept": all(part.state == "live" for part in parts) if parts else None,
    }


def _columns(
    schemas: Sequence[Sequence[Column]], manifests: Sequence[Sequence[Part]], *, masked: frozenset[str]
) -> list[dict[str, Any]]:
    profiles = [version_profile(*pair) for pair in zip(schemas, manifests, strict=True)]
    names = list(dict.fromkeys(c.name for schema in reversed(schemas) for c in schema))
    moved = {delta.column: delta.psi for delta in distribution_deltas(*profiles, columns=names)}
    shown = []
    for name in names:
        sides = [found["columns"].get(name) for found in profiles]
        if not any(sides):
            continue
        old, new = (
            column_view(side, found["rows"], masked=name in masked) if side else None
            for side, found in zip(sides, profiles, strict=True)
        )
        charted = chart(*sides, masked=name in masked)
        shown.append({"name": name, "old": old, "new": new, "psi": moved.get(name), "chart": charted})
    return shown


def _manifest(old: Sequence[Part], new: Sequence[Part]) -> dict[str, int]:
    """Return what the parts tell: rows that only one of the two can have are in parts that only it has."""
    before, after = ({p.part_id: p.rows for p in parts} for parts in (old, new))
    return {
        "shared": len(before.keys() & after.keys()),
        "old_parts": len(before.keys() - after.keys()),
        "old_rows": sum(rows for part, rows in before.items() if part not in after),
        "new_parts": len(after.keys() - before.keys()),
        "new_rows": sum(rows for part, rows in after.items() if part not in before),
    }
