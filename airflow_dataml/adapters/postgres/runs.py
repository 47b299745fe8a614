"""Task instances in the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.runs import TaskRun

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.runs import RunIdentity

# A finished task, cleared by somebody, that finds other input than the try that finished it.
_ANEW = """(r.state <> 'running' AND r.input_digest IS DISTINCT FROM excluded.input_digest
            AND (r.max_tries IS NULL OR excluded.max_tries IS NULL OR excluded.max_tries > r.max_tries))"""
# One statement, so that two tries of one task that overlap agree on the generation. Lineage may have heard
# of a task before it begins here: then it begins now, and nothing of it is there to be resumed.
_BEGIN = f"""
INSERT INTO dataml.run AS r (dag_id, run_id, task_id, map_index, try_number, input_digest, partition_key,
                             ti_id, code_version, environment, max_tries)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE SET
  begun = r.begun + 1,
  source = 'operator',
  generation = r.generation + {_ANEW}::int,
  state = CASE WHEN {_ANEW} THEN 'running' ELSE r.state END,
  max_tries = excluded.max_tries,
  try_number = CASE WHEN r.begun = 0 THEN excluded.try_number ELSE greatest(r.try_number, excluded.try_number) END,
  started_at = CASE WHEN r.begun = 0 THEN excluded.started_at ELSE r.started_at END,
  input_digest = CASE WHEN r.begun = 0 THEN excluded.input_digest ELSE r.input_digest END,
  partition_key = CASE WHEN r.begun = 0 THEN excluded.partition_key ELSE r.partition_key END,
  environment = CASE WHEN r.begun = 0 THEN excluded.environment ELSE r.environment END,
  ti_id = excluded.ti_id,
  code_version = excluded.code_version
RETURNING run_key, generation, (begun > 1) AS resumed
"""


class PostgresRuns:
    """Which task instances wrote, and how often they were deliberately run."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def begin(self, identity: RunIdentity, *, input_digest: str) -> TaskRun:
        """Record a start, or recognise a retry (see ``ports.Runs.begin``)."""
        from psycopg.types.json import Jsonb

        task = identity.task
        row = self._db.one(
            _BEGIN,
            [
                task.dag_id, task.run_id, task.task_id, task.map_index, identity.try_number, input_digest,
                identity.partition_key, identity.ti_id, identity.code_version, Jsonb(identity.environment),
                identity.max_tries,
            ],
        )  # fmt: skip
        return TaskRun(row["run_key"], identity, row["generation"], row["resumed"], input_digest)

    def finish(self, run: TaskRun, *, state: str = "success") -> None:
        """Record that the task reached its result."""
        self._db.execute(
            """UPDATE dataml.run SET state = %s, input_digest = %s, ended_at = clock_timestamp()
               WHERE run_key = %s AND generation = %s""",
            [state, run.input_digest, run.run_key, run.generation],
        )

    def triggered_by(self, version_id: int) -> str | None:
        """Return who triggered the run that made a version."""
        row = self._db.row(
            """SELECT r.environment ->> 'triggered_by' AS name FROM dataml.version v JOIN dataml.run r USING (run_key)
               WHERE v.version_id = %s""",
            [version_id],
        )
        return row["name"] if row else None

    def renew(self, run: TaskRun) -> TaskRun:
        """Start the next generation, because what this one wrote says nothing."""
        generation = self._db.scalar(
            "UPDATE dataml.run SET generation = generation + 1, state = 'running' WHERE run_key = %s RETURNING generation",
            [run.run_key],
        )
        return replace(run, generation=generation)
