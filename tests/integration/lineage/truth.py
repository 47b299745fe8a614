"""What really happened, told run by run, and what the ledger says of it in the same words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from tests.integration.lineage.truth_plans import Plan, Step, Task


@dataclass(frozen=True)
class Try:
    """What ran."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    number: int


@dataclass
class Truth:
    """What really happened, told run by run.

    A version is its asset and who wrote it; one that nobody wrote was found.
    """

    reads: set[tuple[Try, tuple[str, object]]] = field(default_factory=set)
    versions: set[tuple[str, object]] = field(default_factory=set)
    edges: set[tuple[tuple[str, object], tuple[str, object]]] = field(default_factory=set)
    assets: dict[tuple[str, str, str], int] = field(default_factory=dict)
    columns: set[tuple[str, str, str, str, str, str]] = field(default_factory=set)
    current: dict[str, tuple[str, object]] = field(default_factory=dict)

    def run(
        self, plan: Plan, run_id: str, *, only: Sequence[str] = (), tries: Callable[[str, int], int]
    ) -> None:
        """Tell of a run, or of some tasks of it that ran again.

        :param tries: number of the try that got through, by task and map index.
        """
        for task in plan.tasks:
            if only and task.task_id not in only:
                continue
            for index, step in enumerate(task.steps):
                element = index if task.kind == "mapped" else -1
                number = tries(task.task_id, element)
                if task.fails_first and not only:
                    self._tried(Try(plan.dag_id, run_id, task.task_id, element, 1), step)
                self._step(task, Try(plan.dag_id, run_id, task.task_id, element, number), step)

    def _tried(self, who: Try, step: Step) -> None:
        for name in step.reads:
            self.reads.add((who, self._stood(name)))

    def _step(self, task: Task, who: Try, step: Step) -> None:
        if task.kind == "publish":
            stage = who.task_id.replace("publish", "stage")
            version = (step.name, f"{who.dag_id}.{who.run_id}")
            self.versions.add(version)
            for src in self._staged.pop((who.dag_id, who.run_id, stage), ()):
                self.edges.add((src, version))
            self.current[step.name] = version
            return
        # Of rows that are staged it is publishing that makes them somebody's.
        job = f"{who.dag_id}.{task.task_id.replace('_stage', '_publish')}"
        read = [self._stood(name) for name in step.reads]
        for name in step.reads:
            self.assets[name, step.name, job] = self.assets.get((name, step.name, job), 0) + 1
        self.columns |= {(src, a, step.name, b, kind, job) for src, a, b, kind in step.flows}
        if task.kind == "transform":
            self._staged[who.dag_id, who.run_id, task.task_id] = read
            return
        for src in read:
            self.reads.add((who, src))
        version = (step.name, who)
        self.versions.add(version)
        self.edges |= {(src, version) for src in read}
        self.current[step.name] = version

    def _stood(self, name: str) -> tuple[str, object]:
        version = self.current.get(name, (name, "found"))
        self.versions.add(version)
        return version

    _staged: dict[tuple[str, str, str], list[tuple[str, object]]] = field(default_factory=dict)


_VERSIONS = """
SELECT v.version_id, a.name, a.kind, v.origin, r.dag_id, r.run_id, r.task_id, r.map_index, v.facts ->> 'try' AS try
FROM dataml.version v JOIN dataml.asset a USING (asset_id) LEFT JOIN dataml.run r USING (run_key)
"""


class Graph:
    """What the ledger says, in the words of the truth."""

    def __init__(self, ledger: PostgresLedger) -> None:
        db = ledger.connection
        labels = {row["version_id"]: _label(row) for row in db.rows(_VERSIONS)}
        self.versions = set(labels.values())
        assert len(self.versions) == len(labels), "two versions of one write"
        self.edges = {
            (labels[row["src_id"]], labels[row["dst_id"]])
            for row in db.rows("SELECT src_id, dst_id FROM dataml.edge WHERE src_id > 0 AND dst_id > 0")
        }
        self.reads = {
            (Try(row["dag_id"], row["run_id"], row["task_id"], row["map_index"], row["try_number"]), labels[row["version_id"]])
            for row in db.rows(
                """SELECT r.dag_id, r.run_id, r.task_id, r.map_index, io.try_number, io.version_id FROM dataml.run_io io
                   JOIN dataml.run r USING (run_key) WHERE io.direction = 'in' AND r.task_id NOT LIKE '%%features%%'"""
            )
        }  # fmt: skip
        self.assets = {
            (_short(row["src"]), _short(row["dst"]), row["job"]): row["runs"]
            for row in db.rows(
                """SELECT s.name AS src, d.name AS dst, j.name AS job, e.runs FROM dataml.asset_edge e
                   JOIN dataml.asset s ON s.asset_id = e.src JOIN dataml.asset d ON d.asset_id = e.dst
                   JOIN dataml.job j USING (job_id)"""
            )
        }
        self.columns = {
            (
                _short(row["src"]),
                row["src_column"],
                _short(row["dst"]),
                row["dst_column"],
                row["kind"],
                row["job"],
            )
            for row in db.rows(
                """SELECT s.name AS src, src_column, d.name AS dst, dst_column, e.kind, j.name AS job
                   FROM dataml.column_edge e JOIN dataml.asset s ON s.asset_id = e.src
                   JOIN dataml.asset d ON d.asset_id = e.dst JOIN dataml.job j USING (job_id)"""
            )
        }


def _short(name: str) -> str:
    """Return a table as the plan calls it: without server and database."""
    return ".".join(name.rpartition("/")[2].split(".")[-2:])


def _label(row: dict[str, Any]) -> tuple[str, object]:
    if row["origin"] == "found":
        return _short(row["name"]), "found"
    if row["origin"] == "published":
        return row["name"], f"{row['dag_id']}.{row['run_id']}"
    who = Try(row["dag_id"], row["run_id"], row["task_id"], row["map_index"], int(row["try"]))
    return _short(row["name"]), who
