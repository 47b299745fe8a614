"""Replay, audit, publish: quarantined rows come back through the same gate they were refused at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import TaskGroup

from airflow_dataml.operators.quarantine import QuarantineReplayOperator
from airflow_dataml.task_groups.audit_publish import audit_publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset

    from airflow_dataml.operators.engines import EngineName
    from airflow_dataml.steps.verify import Scope


def replay_quarantine(
    dataset: Asset,
    *,
    contract: str,
    quarantine: int | str | None = None,
    repair_sql: str | None = None,
    mode: Literal["append", "merge"] = "append",
    keys: Sequence[str] = (),
    scope: Scope = "result",
    engine: EngineName = "auto",
    references: Mapping[str, Asset | str] | None = None,
    data_timestamp: str | None = None,
    group_id: str | None = None,
    **task_arguments: Any,
) -> TaskGroup:
    """Return a group that stages quarantined rows, verifies them against the contract, and publishes them if it holds.

    :param dataset: the managed dataset.
    :param contract: the Soda contract file they broke, or a newer one.
    :param quarantine: as for ``QuarantineReplayOperator``; so too ``repair_sql``, ``mode`` and ``keys``.
    :param scope: what the contract is run on: ``result`` or ``batch``.
    :param engine: as for ``QualityCheckOperator``; so too ``references`` and ``data_timestamp``.
    :param group_id: ``replay_`` and the dataset's name unless given.
    :param task_arguments: passed to all three tasks, such as ``retries`` or ``dataml_conn_id``.
    """
    with TaskGroup(group_id or f"replay_{dataset.name}") as group:
        stage = QuarantineReplayOperator(
            task_id="stage",
            dataset=dataset,
            quarantine=quarantine,
            repair_sql=repair_sql,
            mode=mode,
            keys=keys,
            **task_arguments,
        )
        audit_publish(
            dataset,
            staged=stage.output,
            contract=contract,
            scope=scope,
            engine=engine,
            references=references,
            data_timestamp=data_timestamp,
            **task_arguments,
        )
    return group
