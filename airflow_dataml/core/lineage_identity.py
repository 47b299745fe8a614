"""Whose event it is: the run of the ledger that an OpenLineage event belongs to.

OpenLineage run ids of Airflow are made of DAG, task, try and date; two runs of one DAG with the same date
share them. So a task instance is known by what its process knew of it, or by Airflow's facet, and a run
id counts only for systems that have nothing better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_dataml.core.openlineage import AirflowTask
from airflow_dataml.core.refs import TaskKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_dataml.core.openlineage import JobRef, ObservedDataset, ObservedEvent

# Namespace of what is called the same in every environment.
LOGICAL = "dataml"


@dataclass(frozen=True, slots=True)
class Identity:
    """The row of ``run`` an event belongs to, and that of its parent.

    :param dag_id, task_id: of the job, where it is a task of this Airflow.
    :param ours: a task instance of this Airflow, or a statement it ran.
    """

    task: TaskKey
    try_number: int
    job: JobRef
    ti_id: str | None = None
    parent: TaskKey | None = None
    dag_id: str | None = None
    task_id: str | None = None
    ours: bool = False


def identify(event: ObservedEvent, *, source: str, task: Mapping[str, Any] | None = None) -> Identity:
    """Return whose event a run event is.

    :param source: how it came; what the receiver takes is of another system, whatever it calls itself.
    :param task: what the emitting process knew of its task.
    """
    job, run_id = event.job, event.run_id
    if job is None or run_id is None:
        msg = "only events of a run belong to one"
        raise ValueError(msg)
    ours = source != "receiver"
    known = AirflowTask.from_dict(task) if ours and task else event.airflow
    if known and not ours:
        # Another Airflow may have a DAG of the same name.
        elsewhere = TaskKey(f"{job.namespace}:{known.task.dag_id}", *_rest(known.task))
        known = AirflowTask(elsewhere, known.try_number, known.ti_id)
    if known is None:
        return Identity(TaskKey(job.namespace, run_id, job.name), 1, job, parent=_parent(event))
    key = known.task
    dag_id = key.dag_id if ours else key.dag_id[len(job.namespace) + 1 :]
    full = f"{dag_id}.{key.task_id}" if key.task_id else dag_id
    dag_run = TaskKey(key.dag_id, key.run_id, "") if key.task_id else None
    if job.name == full or (event.airflow and event.airflow.task.task_id == key.task_id):
        of_task = ours and bool(key.task_id)
        return Identity(
            key, known.try_number, job, known.ti_id, dag_run, ours=ours,
            dag_id=dag_id if of_task else None, task_id=key.task_id if of_task else None,
        )  # fmt: skip
    if job.name.startswith(f"{full}."):
        # A statement or a step of the task: the same one again when the task is tried again.
        child = TaskKey(key.dag_id, key.run_id, key.task_id + job.name[len(full) :], key.map_index)
        return Identity(child, known.try_number, job, known.ti_id, key, ours=ours)
    return Identity(TaskKey(job.namespace, run_id, job.name), 1, job, parent=key)


def _rest(task: TaskKey) -> tuple[str, str, int]:
    return task.run_id, task.task_id, task.map_index


def _parent(event: ObservedEvent) -> TaskKey | None:
    parent = event.parent
    if parent is None or (parent.run_id == event.run_id and parent.job == event.job):
        return None
    return TaskKey(parent.job.namespace, parent.run_id, parent.job.name)


def foreign(event: ObservedEvent) -> ObservedEvent:
    """Return an event of another system without what would make its things ours.

    Another ledger numbers versions too, and calls its datasets by the same logical names.
    """

    def stranger(seen: ObservedDataset) -> ObservedDataset:
        links = tuple(link for link in seen.symlinks if link.namespace != LOGICAL)
        return replace(seen, symlinks=links, facets={})

    inputs, outputs = tuple(map(stranger, event.inputs)), tuple(map(stranger, event.outputs))
    if inputs == event.inputs and outputs == event.outputs:
        return event
    return replace(event, inputs=inputs, outputs=outputs)


def is_ours(seen: ObservedDataset) -> bool:
    """Say whether an operator of ours told of a dataset: it names it by its logical name too."""
    return any(link.namespace == LOGICAL for link in seen.symlinks)
