"""Branches on PostgreSQL: an alias that bears the branch's name, and a schema of views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow_dataml.core.branches import Branch, BranchHead
from airflow_dataml.core.errors import BranchNotFoundError, SpecError
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.runs import TaskRun

_HEADS = """
SELECT a.name AS asset, a.kind, a.location, base.version_id AS base_id, base.number AS base_number,
       head.version_id AS head_id, head.number AS head_number
FROM dataml.branch_base bb JOIN dataml.branch b USING (branch_id) JOIN dataml.asset a USING (asset_id)
LEFT JOIN dataml.version base ON base.version_id = bb.version_id
LEFT JOIN dataml.alias l ON l.asset_id = a.asset_id AND l.name = b.name
LEFT JOIN dataml.version head ON head.version_id = l.version_id
WHERE b.name = %s AND b.state = 'open' ORDER BY a.name
"""

_ON_IT = """
SELECT 1 FROM dataml.branch_base bb JOIN dataml.branch b USING (branch_id) JOIN dataml.asset a USING (asset_id)
WHERE b.name = %s AND b.state = 'open' AND a.name = %s
"""


class PostgresBranches:
    """Open branches, what they began from and where they are."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def open(self, *, name: str, schema: str, assets: Sequence[str], run: TaskRun) -> None:
        """Write down a branch, what it begins from, and make its schema.

        :raises SpecError: a branch of that name is open, or something else uses the schema's name.
        """
        if self.is_open(name):
            msg = f"branch {name!r} is open already: merge or drop it first, or choose another name."
            raise SpecError(msg)
        if self._db.row("SELECT 1 FROM dataml.alias WHERE name = %s", [name]):
            msg = f"{name!r} is an alias of versions already: choose another name for the branch."
            raise SpecError(msg)
        if self._db.scalar("SELECT to_regnamespace(%s)", [quote_identifier(schema)]) is not None:
            msg = (
                f"schema {schema!r} is there already: choose another name for the branch, or another schema."
            )
            raise SpecError(msg)
        self._db.execute(f"CREATE SCHEMA {quote_identifier(schema)}")
        self._db.execute(
            """WITH made AS (INSERT INTO dataml.branch (name, schema_name, run_key) VALUES (%s, %s, %s) RETURNING branch_id)
               INSERT INTO dataml.branch_base (branch_id, asset_id, version_id)
               SELECT made.branch_id, a.asset_id,
                      (SELECT version_id FROM dataml.alias l WHERE l.asset_id = a.asset_id AND l.name = 'current')
               FROM made, dataml.asset a WHERE a.name = ANY (%s)""",
            [name, schema, run.run_key, list(assets)],
        )

    def join(self, *, name: str, asset: str) -> None:
        """Write down what a dataset that joins later begins from.

        The caller holds the dataset's lock. Until its transaction ends nobody merges or drops the branch, so
        that whoever does knows of the dataset.

        :raises BranchNotFoundError: the branch was merged or dropped meanwhile.
        """
        if self._db.row(_ON_IT, [name, asset]) is not None:
            return
        branch_id = self._db.scalar(
            "SELECT branch_id FROM dataml.branch WHERE name = %s AND state = 'open' FOR KEY SHARE", [name]
        )
        if branch_id is None:
            self.get(name)
        self._db.execute(
            """INSERT INTO dataml.branch_base (branch_id, asset_id, version_id)
               SELECT %s, a.asset_id,
                      (SELECT version_id FROM dataml.alias l WHERE l.asset_id = a.asset_id AND l.name = 'current')
               FROM dataml.asset a WHERE a.name = %s""",
            [branch_id, asset],
        )

    def schema_of(self, name: str) -> str:
        """Return the schema of an open branch.

        :raises BranchNotFoundError: with the closest names.
        """
        return self.get(name).schema

    def is_open(self, name: str) -> bool:
        """Whether a branch of that name is open."""
        return (
            self._db.row("SELECT 1 FROM dataml.branch WHERE name = %s AND state = 'open'", [name]) is not None
        )

    def get(self, name: str) -> Branch:
        """Return an open branch with its datasets.

        :raises BranchNotFoundError: with the closest names.
        """
        row = self._db.row(
            "SELECT name, schema_name, created_at FROM dataml.branch WHERE name = %s AND state = 'open'",
            [name],
        )
        if row is None:
            what = "branch"
            raise BranchNotFoundError.from_available(
                what, name, [b["name"] for b in self.list() if b["state"] == "open"]
            )
        heads = tuple(
            BranchHead(
                asset=head["asset"],
                location=head["location"],
                base_id=head["base_id"],
                base=head["base_number"],
                head_id=head["head_id"],
                head=head["head_number"],
            )
            for head in self._db.rows(_HEADS, [name])
        )
        return Branch(row["name"], row["schema_name"], row["created_at"], heads)

    def lock(self, name: str) -> None:
        """Take the branch's row for this transaction."""
        self._db.row("SELECT 1 FROM dataml.branch WHERE name = %s AND state = 'open' FOR UPDATE", [name])

    def close(self, *, name: str, state: str, run: TaskRun) -> None:
        """Write down that a branch was merged or dropped, and drop its schema, which must be empty by now."""
        schema = self.schema_of(name)
        self._db.execute(f"DROP SCHEMA {quote_identifier(schema)}")
        self._db.execute(
            """UPDATE dataml.branch SET state = %s, closed_at = clock_timestamp(), closed_by = %s
               WHERE name = %s AND state = 'open'""",
            [state, run.run_key, name],
        )

    def opened_by(self, run: TaskRun) -> str | None:
        """Return the open branch that an earlier try of a task made."""
        return cast(
            "str | None",
            self._db.scalar(
                "SELECT name FROM dataml.branch WHERE run_key = %s AND state = 'open'", [run.run_key]
            ),
        )

    def merged_by(self, run: TaskRun) -> tuple[int, ...]:
        """Return ids of the versions that an earlier try of a task published by merging a branch."""
        rows = self._db.rows(
            """SELECT v.version_id FROM dataml.version v JOIN dataml.branch b ON b.closed_by = v.run_key
               WHERE v.run_key = %s AND b.state = 'merged' AND v.facts ->> 'branch' = b.name ORDER BY v.version_id""",
            [run.run_key],
        )
        return tuple(row["version_id"] for row in rows)

    def list(self) -> list[dict[str, Any]]:
        """Return all branches, newest first."""
        return self._db.rows(
            """SELECT b.name, b.schema_name, b.state, b.created_at, b.closed_at,
                      (SELECT count(*) FROM dataml.branch_base bb WHERE bb.branch_id = b.branch_id) AS datasets
               FROM dataml.branch b ORDER BY b.branch_id DESC"""
        )
