"""Task instances in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.runs import TaskRun

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.runs import RunIdentity

# One statement, so that two tries of one task that overlap agree on the generation.
_BEGIN = """
INSERT INTO dataml.run AS r (dag_id, run_id, task_id, map_index, try_number, input_digest, partition_key,
                             ti_id, code_version, environment)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE SET
  generation = r.generation + (r.state <> 'running' AND r.input_digest IS DISTINCT FROM excluded.input_digest)::int,
  state = CASE WHEN r.state <> 'running' AND r.input_digest IS DISTINCT FROM excluded.input_digest
               THEN 'running' ELSE r.state END,
  input_digest = CASE WHEN r.state <> 'running' THEN excluded.input_digest ELSE r.input_digest END,
  try_number = greatest(r.try_number, excluded.try_number),
  ti_id = excluded.ti_id,
  code_version = excluded.code_version
RETURNING run_key, generation, (xmax <> 0) AS resumed
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
            ],
        )  # fmt: skip
        return TaskRun(row["run_key"], identity, row["generation"], row["resumed"])

    def finish(self, run: TaskRun, *, state: str = "success") -> None:
        """Record that the task reached its result."""
        self._db.execute(
            "UPDATE dataml.run SET state = %s, ended_at = clock_timestamp() WHERE run_key = %s AND generation = %s",
            [state, run.run_key, run.generation],
        )
