"""Read: the rows of any retained version."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import ConflictError, DataMLError, StaleVersionError, VersionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_dataml.core.datasets import Column, Part, Version
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.stores import DatasetStore


def read_rows(
    *, ledger: Ledger, store: DatasetStore, ref: str, limit: int | None = None, branch: str | None = None
) -> tuple[Version, tuple[Column, ...], Iterator[tuple[Any, ...]]]:
    """Return a version, its columns and its rows, one at a time and in no order.

    :param ref: ``name`` (current), ``name@number``, ``name@alias`` or ``name@time``.
    :raises VersionNotFoundError: there is no such version, or its rows were collected.
    """
    version = ledger.versions.find(ref, branch=branch)
    parts = ledger.versions.manifest(version.version_id)
    require_rows(version, parts)
    columns = ledger.versions.columns(version.version_id)
    return version, columns, store.scan(columns=columns, parts=parts, limit=limit)


def require_rows(version: Version, parts: Sequence[Part]) -> None:
    """Refuse a version whose rows are not all there.

    :raises VersionNotFoundError: retention collected them, or the table went back to its owner.
    """
    gone = sorted({part.state for part in parts if part.state != "live"})
    if gone or not parts:
        why = "its rows were never kept" if not parts else f"its rows were {' and '.join(gone)}"
        msg = f"{version.ref} is known, and {why}: choose a newer version, or pin the next one you mean to keep."
        raise VersionNotFoundError(msg)


@contextmanager
def reading(ledger: Ledger, versions: Iterable[Version]) -> Iterator[None]:
    """Read rows of some versions; what fails because retention took them meanwhile is said so.

    Nothing locks a version against retention, so that collecting never waits for a long read. Goes around the
    transaction: its failure is judged by what the ledger says afterwards.

    :raises StaleVersionError: rows of a version went while they were being read.
    """
    try:
        yield
    except ConflictError:
        raise
    except DataMLError as err:
        for version in versions:
            parts = ledger.versions.manifest(version.version_id, profiles=False)
            if gone := [p.part_id for p in parts if p.state != "live"]:
                msg = f"parts {gone} of {version.ref} were collected while they were being read, and nothing was written: run the task again, on what is current by then."
                raise StaleVersionError(msg) from err
        raise
