"""Bringing the ledger's schema to this code's version, once, under a lock."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import LedgerVersionError

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

_LOCK = "dataml.migrate"
_BOOKKEEPING = """
CREATE SCHEMA IF NOT EXISTS dataml;
CREATE TABLE IF NOT EXISTS dataml.schema_migration (
  number     int PRIMARY KEY,
  name       text NOT NULL,
  checksum   text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""

GRANTS = """\
-- reader: the UI and the CLI
GRANT USAGE ON SCHEMA dataml TO {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA dataml TO {reader};
-- writer: the workers
GRANT USAGE ON SCHEMA dataml TO {writer};
GRANT USAGE, CREATE ON SCHEMA dataml_data TO {writer};
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA dataml TO {writer};
GRANT DELETE ON dataml.alias, dataml.part_state, dataml.segment_state TO {writer};
-- what lineage takes back, what a merge of two assets joins, and what purging removes
GRANT DELETE ON dataml.version, dataml.run_io, dataml.edge, dataml.asset_edge, dataml.column_edge,
  dataml.asset_column, dataml.lineage_event TO {writer};
-- only for branches, which are schemas: GRANT CREATE ON DATABASE ... TO {writer};
GRANT CREATE ON SCHEMA public TO {writer};  -- and on every other schema datasets are published in
-- versions that were published never change; a trigger sees to that
REVOKE UPDATE ON dataml.audit, dataml.report, dataml.version_part FROM {writer};
-- approver: acknowledges, assigns and resolves incidents, and lets dead letters be sent again
GRANT USAGE ON SCHEMA dataml TO {approver};
GRANT SELECT ON ALL TABLES IN SCHEMA dataml TO {approver};
GRANT UPDATE (state, resolved_at, resolution, assignee) ON dataml.incident TO {approver};
GRANT UPDATE (state, attempts, next_at) ON dataml.lineage_delivery TO {approver};
GRANT UPDATE (retry_at) ON dataml.lineage_backend TO {approver};
GRANT INSERT ON dataml.audit TO {approver};
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What was applied, so that an edited file is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def available() -> tuple[Migration, ...]:
    """Return the migrations this code ships, in order."""
    folder = resources.files("airflow_dataml.adapters.postgres") / "migrations"
    found = []
    for file in folder.iterdir():
        if match := re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda m: m.number))


def applied(connection: Connection) -> dict[int, str]:
    """Return number and checksum of what the ledger has; empty before the first migration."""
    if connection.scalar("SELECT to_regclass('dataml.schema_migration')") is None:
        return {}
    rows = connection.rows("SELECT number, checksum FROM dataml.schema_migration ORDER BY number")
    return {row["number"]: row["checksum"] for row in rows}


def migrate(connection: Connection) -> tuple[Migration, ...]:
    """Apply what is missing, all in one transaction, and return it; safe to run by several at once.

    :raises LedgerVersionError: the ledger is newer than this code, or an applied file was edited.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        connection.execute(_BOOKKEEPING)
        have = applied(connection)
        _refuse_foreign(have)
        todo = tuple(m for m in available() if m.number not in have)
        for migration in todo:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO dataml.schema_migration (number, name, checksum) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.checksum],
            )
    return todo


def check(connection: Connection) -> None:
    """Refuse to work on a ledger this code does not fit.

    :raises LedgerVersionError: not migrated, behind, ahead or altered.
    """
    have = applied(connection)
    _refuse_foreign(have)
    missing = [m for m in available() if m.number not in have]
    if missing:
        state = f"at version {max(have)}" if have else "empty"
        msg = f"the ledger is {state}, this code needs version {missing[-1].number}: run `airflow dataml migrate`."
        raise LedgerVersionError(msg)


def _refuse_foreign(have: dict[int, str]) -> None:
    known = {m.number: m for m in available()}
    for number, checksum in have.items():
        if number not in known:
            msg = (
                f"the ledger is at version {max(have)}, this code knows up to {max(known)}: "
                "upgrade airflow-dataml here; nothing was changed."
            )
            raise LedgerVersionError(msg)
        if known[number].checksum != checksum:
            msg = f"migration {number:04d} in the ledger differs from the file of this release: reinstall airflow-dataml."
            raise LedgerVersionError(msg)
