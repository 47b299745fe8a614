"""Jobs and runs as lineage knows them, beside what our operators wrote of the same tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.refs import TaskKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.openlineage import JobRef

# A job that was only known by its task until its events told where it is.
PLACEHOLDER = "airflow"
_TASK = ("dag_id", "run_id", "task_id", "map_index")
_RENAME = """
UPDATE dataml.job j SET namespace = x.ns
FROM jsonb_to_recordset(%s) x(ns text, name text, dag_id text, task_id text)
WHERE j.dag_id = x.dag_id AND j.task_id = x.task_id AND j.namespace = %s AND j.name = x.name AND x.ns <> j.namespace
  AND NOT EXISTS (SELECT FROM dataml.job k WHERE k.namespace = x.ns AND k.name = x.name)
"""
_JOBS = """
INSERT INTO dataml.job AS j (namespace, name, integration, dag_id, task_id, facets, first_seen, last_seen)
SELECT x.ns, x.name, x.integration, x.dag_id, x.task_id, x.facets, x.at, x.at
FROM jsonb_to_recordset(%s)
  x(ns text, name text, integration text, dag_id text, task_id text, facets jsonb, at timestamptz)
ORDER BY x.ns, x.name
ON CONFLICT (namespace, name) DO UPDATE SET
  integration = coalesce(excluded.integration, j.integration),
  dag_id = coalesce(j.dag_id, excluded.dag_id), task_id = coalesce(j.task_id, excluded.task_id),
  facets = j.facets || excluded.facets,
  first_seen = least(j.first_seen, excluded.first_seen), last_seen = greatest(j.last_seen, excluded.last_seen)
WHERE j.last_seen < excluded.last_seen - interval '1 minute' OR NOT j.facets @> excluded.facets
   OR j.integration IS DISTINCT FROM coalesce(excluded.integration, j.integration)
   OR j.dag_id IS DISTINCT FROM coalesce(j.dag_id, excluded.dag_id)
"""
_JOB_IDS = """
SELECT x.i, j.job_id FROM jsonb_to_recordset(%s) x(i int, ns text, name text)
JOIN dataml.job j ON j.namespace = x.ns AND j.name = x.name
"""
_RUNS = """
INSERT INTO dataml.run (dag_id, run_id, task_id, map_index, try_number, ti_id, source, begun, started_at,
                        job_id, ol_run_id, ol_state, ol_try, ol_started, ol_ended, ol_facets)
SELECT x.dag_id, x.run_id, x.task_id, x.map_index, x.try_number, x.ti_id, 'lineage', 0, x.at,
       x.job_id, x.ol_run_id, x.state, x.t, x.started, x.ended, x.facets
FROM jsonb_to_recordset(%s)
  x(dag_id text, run_id text, task_id text, map_index int, try_number int, ti_id text, at timestamptz,
    job_id bigint, ol_run_id text, state text, t int, started timestamptz, ended timestamptz, facets jsonb)
ORDER BY x.dag_id, x.run_id, x.task_id, x.map_index
ON CONFLICT (dag_id, run_id, task_id, map_index) DO NOTHING
RETURNING run_key, dag_id, run_id, task_id, map_index
"""
_RUN_KEYS = """
SELECT x.i, r.run_key FROM jsonb_to_recordset(%s) x(i int, dag_id text, run_id text, task_id text, map_index int)
JOIN dataml.run r USING (dag_id, run_id, task_id, map_index)
"""
# A parent that is a task of this Airflow is known by the OpenLineage id that it was told under.
_PARENTS = """
SELECT DISTINCT ON (x.i) x.i, r.run_key
FROM jsonb_to_recordset(%s) x(i int, ns text, name text, run_id text, at timestamptz)
JOIN dataml.job j ON j.namespace = x.ns AND j.name = x.name
JOIN dataml.run r ON r.ol_run_id = x.run_id AND r.job_id = j.job_id
ORDER BY x.i, (r.ol_started <= x.at) DESC NULLS LAST, r.ol_started DESC NULLS LAST, r.run_key DESC
"""
_SAY = """
UPDATE dataml.run r SET job_id = x.job_id, parent_key = coalesce(x.parent_key, r.parent_key), ol_run_id = x.run_id,
  ol_state = x.state, ol_try = x.t, ol_started = x.started, ol_ended = x.ended, ol_facets = x.facets
FROM jsonb_to_recordset(%s) x(r bigint, t int, job_id bigint, parent_key bigint, run_id text, state text,
                              started timestamptz, ended timestamptz, facets jsonb)
WHERE r.run_key = x.r AND (r.ol_try IS NULL OR r.ol_try <= x.t)
  AND (r.job_id, r.parent_key, r.ol_run_id, r.ol_state, r.ol_try, r.ol_started, r.ol_ended, r.ol_facets)
      IS DISTINCT FROM (x.job_id, coalesce(x.parent_key, r.parent_key), x.run_id, x.state, x.t, x.started, x.ended,
                        x.facets)
"""


class LineageJobs:
    """Writes jobs and runs in sets."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def jobs(self, said: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
        """Write jobs and return their ids by namespace and name."""
        merged: dict[tuple[str, str], dict[str, Any]] = {}
        for one in said:
            before = merged.setdefault((one["ns"], one["name"]), dict(one))
            before["at"] = max(before["at"], one["at"])
            before["facets"] = {**before["facets"], **one["facets"]}
            for name in ("integration", "dag_id", "task_id"):
                before[name] = before[name] or one[name]
        if not merged:
            return {}
        rows = json.dumps(list(merged.values()), default=str)
        self._db.execute(_RENAME, [rows, PLACEHOLDER])
        self._db.execute(_JOBS, [rows])
        keys = list(merged)
        asked = json.dumps([{"i": i, "ns": ns, "name": name} for i, (ns, name) in enumerate(keys)])
        return {keys[row["i"]]: row["job_id"] for row in self._db.rows(_JOB_IDS, [asked])}

    def runs(self, wanted: Mapping[TaskKey, Mapping[str, Any]]) -> tuple[dict[TaskKey, int], set[int]]:
        """Write runs nobody began yet, and return the keys of all and of those that are new.

        :param wanted: try_number, ti_id and first time of each, and what its events say of it.
        """
        keys = list(wanted)
        named = [
            {"i": i, "dag_id": k.dag_id, "run_id": k.run_id, "task_id": k.task_id, "map_index": k.map_index}
            for i, k in enumerate(keys)
        ]
        found = self._run_keys(keys, named)
        missing = [one | dict(wanted[key]) for key, one in zip(keys, named, strict=True) if key not in found]
        made: dict[TaskKey, int] = {}
        if missing:
            rows = self._db.rows(_RUNS, [json.dumps(missing, default=str)])
            made = {TaskKey(*(row[name] for name in _TASK)): row["run_key"] for row in rows}
            found |= made
            if len(found) < len(keys):
                found |= self._run_keys(keys, named)
        return found, set(made.values())

    def _run_keys(self, keys: Sequence[TaskKey], named: Sequence[Mapping[str, Any]]) -> dict[TaskKey, int]:
        return {keys[row["i"]]: row["run_key"] for row in self._db.rows(_RUN_KEYS, [json.dumps(named)])}

    def parents(self, asked: Mapping[TaskKey, tuple[JobRef, str, Any]]) -> dict[TaskKey, int]:
        """Return runs that were told under an OpenLineage id: the newest that had begun, where several were."""
        keys = list(asked)
        rows = [
            {"i": i, "ns": job.namespace, "name": job.name, "run_id": run_id, "at": at}
            for i, (job, run_id, at) in enumerate(asked.values())
        ]
        if not rows:
            return {}
        return {
            keys[row["i"]]: row["run_key"] for row in self._db.rows(_PARENTS, [json.dumps(rows, default=str)])
        }

    def say(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write down what lineage says of tries; an earlier try does not overrule a later one."""
        last: dict[int, Mapping[str, Any]] = {}
        for row in rows:
            if row["r"] not in last or last[row["r"]]["t"] <= row["t"]:
                last[row["r"]] = row
        if last:
            self._db.execute(_SAY, [json.dumps(list(last.values()), default=str)])
