"""Write, audit, publish: the three tasks every managed batch goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airflow_dataml.core.errors import SpecError
from airflow_dataml.operators.datasets import DatasetStageOperator, DatasetTransformOperator
from airflow_dataml.task_groups.audit_publish import audit_publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset

    from airflow_dataml.core.datasets import WriteMode
    from airflow_dataml.operators.engines import EngineName
    from airflow_dataml.operators.staging import StagingOperator
    from airflow_dataml.steps.verify import Scope


def write_audit_publish(
    dataset: Asset,
    *,
    contract: str,
    path: str | None = None,
    sql: str | None = None,
    inputs: Sequence[Asset | str] | Mapping[str, Asset | str] = (),
    mode: WriteMode = "partition",
    keys: Sequence[str] = (),
    delete_flag: str | None = None,
    allow_breaking: bool = False,
    branch: str | None = None,
    scope: Scope = "result",
    engine: EngineName = "auto",
    references: Mapping[str, Asset | str] | None = None,
    data_timestamp: str | None = None,
    group_id: str | None = None,
    **task_arguments: Any,
) -> TaskGroup:
    """Return a group that stages a batch, verifies its contract, and publishes it if it holds.

    :param dataset: the managed dataset.
    :param contract: Soda contract file.
    :param path: CSV or Parquet file to stage; or
    :param sql: query to stage, over ``inputs``.
    :param mode: what publication does: ``partition``, ``append``, ``replace`` or ``merge``; ``keys`` and
        ``delete_flag`` go with the last, as for ``DatasetStageOperator``.
    :param allow_breaking: as for ``DatasetPublishOperator``.
    :param branch: write for a branch instead of for everybody, as for ``DatasetStageOperator``.
    :param scope: what the contract is run on: ``result`` or ``batch``.
    :param engine: as for ``QualityCheckOperator``; so too ``references`` and ``data_timestamp``.
    :param group_id: the dataset's name unless given.
    :param task_arguments: passed to all three tasks, such as ``retries`` or ``dataml_conn_id``.
    """
    if (path is None) == (sql is None):
        msg = f"write_audit_publish({dataset.name!r}): give either path or sql."
        raise SpecError(msg)
    how: dict[str, Any] = {"mode": mode, "keys": keys, "delete_flag": delete_flag, "branch": branch}
    how |= {"task_id": "stage", "dataset": dataset, **task_arguments}
    with TaskGroup(group_id or dataset.name) as group:
        stage: StagingOperator
        if path is not None:
            stage = DatasetStageOperator(path=path, contract=contract, **how)
        else:
            stage = DatasetTransformOperator(sql=str(sql), inputs=inputs, **how)
        audit_publish(
            dataset,
            staged=stage.output,
            contract=contract,
            scope=scope,
            engine=engine,
            references=references,
            data_timestamp=data_timestamp,
            allow_breaking=allow_breaking,
            **task_arguments,
        )
    return group
