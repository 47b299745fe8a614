"""Audit, publish: the end of every way that rows take into a managed dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.operators.datasets import DatasetPublishOperator
from airflow_dataml.operators.quality import QualityCheckOperator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Asset

    from airflow_dataml.operators.engines import EngineName
    from airflow_dataml.steps.verify import Scope


def audit_publish(
    dataset: Asset,
    *,
    staged: Any,
    contract: str,
    scope: Scope = "result",
    engine: EngineName = "auto",
    references: Mapping[str, Asset | str] | None = None,
    data_timestamp: str | None = None,
    allow_breaking: bool = False,
    **task_arguments: Any,
) -> DatasetPublishOperator:
    """Add the tasks ``audit`` and ``publish`` for what another task staged; returns the latter.

    :param dataset: the managed dataset.
    :param staged: output of the task that staged the batch.
    :param contract: Soda contract file.
    :param scope: what the contract is run on: ``result`` or ``batch``.
    :param engine: as for ``QualityCheckOperator``; so too ``references`` and ``data_timestamp``.
    :param allow_breaking: as for ``DatasetPublishOperator``.
    :param task_arguments: passed to both tasks, such as ``retries`` or ``dataml_conn_id``.
    """
    audit = QualityCheckOperator(
        task_id="audit",
        dataset=dataset,
        staged=staged,
        contract=contract,
        scope=scope,
        engine=engine,
        references=references,
        data_timestamp=data_timestamp,
        **task_arguments,
    )
    publish = DatasetPublishOperator(
        task_id="publish", dataset=dataset, staged=staged, allow_breaking=allow_breaking, **task_arguments
    )
    audit >> publish
    return publish
