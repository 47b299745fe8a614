"""A ledger whose versions are written row by row, for what only reads them."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPLICATION = "airflow-dataml triggerer"


def connection_uri(dsn: str) -> str:
    """What ``AIRFLOW_CONN_DATAML_DEFAULT`` says to lead there."""
    info = conninfo_to_dict(dsn)
    return json.dumps(
        {
            "conn_type": "dataml",
            "host": str(info["host"]),
            "login": str(info["user"]),
            "schema": str(info["dbname"]),
        }
    )


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Let the loop go on until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Facts:
    """Writes versions, aliases and reports as publications and checks do."""

    dsn: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, query: str, *params: Any) -> Any:
        """Run one statement in a transaction of its own; the first column of its first row."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), params)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def version(
        self,
        *,
        key: str | None = None,
        alias: str | None = "current",
        parent: int | None = None,
        rows: int = 5,
    ) -> int:
        """Publish a version of rides on top of what the alias points at; its id."""
        unique = f"fact-{next(self.numbers)}"
        with psycopg.connect(self.dsn) as connection:
            one = lambda query, *params: (connection.execute(query.encode(), params).fetchone() or [None])[0]  # noqa: E731
            asset = one(
                """INSERT INTO dataml.asset (name, kind, uri) VALUES ('rides', 'dataset', 'dataml://dataset/rides')
                   ON CONFLICT (name) DO UPDATE SET last_seen = now() RETURNING asset_id"""
            )
            run = one(
                "INSERT INTO dataml.run (dag_id, run_id, task_id) VALUES ('d', %s, 't') RETURNING run_key",
                unique,
            )
            base = parent or one(
                "SELECT version_id FROM dataml.alias WHERE asset_id = %s AND name = %s", asset, alias
            )
            made = one(
                """INSERT INTO dataml.version (asset_id, number, parent_id, run_key, fact_key, fingerprint, row_count, partition_key)
                   SELECT %s, 1 + coalesce(max(number), 0), %s, %s, %s, %s, %s, %s FROM dataml.version WHERE asset_id = %s
                   RETURNING version_id""",
                asset, base, run, unique, f"pg1-{unique}", rows, key, asset,
            )  # fmt: skip
            if alias:
                self._point(connection, asset, alias, made)
        return int(made)

    def point(self, alias: str, version: int) -> None:
        """Move an alias, as a rollback does."""
        with psycopg.connect(self.dsn) as connection:
            asset = connection.execute("SELECT asset_id FROM dataml.asset WHERE name = 'rides'").fetchone()
            self._point(connection, asset[0] if asset else None, alias, version)

    def _point(self, connection: psycopg.Connection[Any], asset: Any, alias: str, version: int) -> None:
        connection.execute(
            """INSERT INTO dataml.alias (asset_id, name, version_id) VALUES (%s, %s, %s)
               ON CONFLICT (asset_id, name) DO UPDATE SET version_id = excluded.version_id""",
            [asset, alias, version],
        )

    def check(self, version: int, verdict: str) -> None:
        """Write a check report of a version."""
        self.run(
            """INSERT INTO dataml.report (asset_id, version_id, run_key, fact_key, kind, verdict, body)
               SELECT asset_id, version_id, run_key, %s, 'check', %s, '{}' FROM dataml.version WHERE version_id = %s""",
            f"check-{next(self.numbers)}", verdict, version,
        )  # fmt: skip

    def connections(self) -> int:
        """How many connections triggers hold."""
        return int(
            self.run(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                APPLICATION,
            )
        )

    def kill(self) -> int:
        """End the server's side of every connection of a trigger."""
        return int(
            self.run(
                """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = %s""",
                APPLICATION,
            )
        )
