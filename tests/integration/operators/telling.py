"""Runs an operator and has Airflow's OpenLineage provider write its events, as its listener would."""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException
from airflow.utils.state import TaskInstanceState

from tests.integration.operators.harness import context

if TYPE_CHECKING:
    from airflow_dataml.operators.base import DataMLOperator

_AT = "2026-01-01T00:00:00+00:00"


@dataclass
class Told:
    """What a task returned or raised, and its two events."""

    start: dict[str, Any]
    end: dict[str, Any]
    result: Any = None
    error: BaseException | None = None
    said: dict[str, Any] = field(default_factory=dict)

    def names(self, side: str, *, at: str = "end") -> set[tuple[str, str]]:
        """Names of the inputs or outputs of an event."""
        event = self.start if at == "start" else self.end
        return {(one["namespace"], one["name"]) for one in event[side]}

    def output(self, suffix: str) -> dict[str, Any]:
        """The output whose name ends so."""
        return _only(self.end["outputs"], suffix)

    def input(self, suffix: str) -> dict[str, Any]:
        """The input whose name ends so."""
        return _only(self.end["inputs"], suffix)


def _only(datasets: list[dict[str, Any]], suffix: str) -> dict[str, Any]:
    (found,) = [one for one in datasets if one["name"].endswith(suffix)]
    return found


def tell(operator: DataMLOperator, *, run_id: str = "r1", partition_key: str | None = None) -> Told:
    """Execute an operator between its START and its COMPLETE or FAIL event."""
    sent: list[dict[str, Any]] = []
    adapter = _adapter(sent)
    said = context(operator.task_id, run_id=run_id, partition_key=partition_key)
    # The provider forks for each event: what an extraction leaves on the operator is gone.
    adapter.start_task(
        **_common(operator),
        event_time=_AT,
        task=_extract(copy.copy(operator), said, TaskInstanceState.RUNNING),
    )
    result, error, state = None, None, TaskInstanceState.SUCCESS
    try:
        result = operator.execute(said)
    except AirflowSkipException as err:
        error, state = err, TaskInstanceState.SKIPPED
    except Exception as err:  # noqa: BLE001 - whatever it is, the task has failed
        error, state = err, TaskInstanceState.FAILED
    metadata = _extract(copy.copy(operator), said, state)
    if state == TaskInstanceState.FAILED:
        adapter.fail_task(**_common(operator), end_time=_AT, task=metadata, error=error)
    else:
        adapter.complete_task(**_common(operator), end_time=_AT, task=metadata)
    return Told(start=sent[0], end=sent[1], result=result, error=error, said=said)


def started(operator: DataMLOperator) -> dict[str, Any]:
    """The START event of a task as its DAG has it, nothing rendered."""
    sent: list[dict[str, Any]] = []
    metadata = _extract(operator, context(operator.task_id), TaskInstanceState.RUNNING)
    _adapter(sent).start_task(**_common(operator), event_time=_AT, task=metadata)
    return sent[0]


def _extract(operator: DataMLOperator, said: dict[str, Any], state: TaskInstanceState) -> Any:
    from airflow.providers.openlineage.extractors import ExtractorManager

    return ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id=said["ti"].run_id),
        task=operator,
        task_instance_state=state,
        task_instance=said["ti"],
    )


def _common(operator: DataMLOperator) -> dict[str, Any]:
    return {
        "run_id": str(uuid.uuid4()),
        "job_name": f"dag.{operator.task_id}",
        "job_description": operator.__doc__,
        "nominal_start_time": None,
        "nominal_end_time": None,
        "owners": ["ann"],
        "tags": ["rides"],
    }


def _adapter(sent: list[dict[str, Any]]) -> Any:
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
    from openlineage.client import OpenLineageClient
    from openlineage.client.serde import Serde
    from openlineage.client.transport import Transport

    class Kept(Transport):
        kind = "kept"

        def emit(self, event: Any) -> None:
            sent.append(json.loads(Serde.to_json(event)))

    return OpenLineageAdapter(client=OpenLineageClient(transport=Kept()))
