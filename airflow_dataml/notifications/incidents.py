"""The notifier that turns a failed task into an incident in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import redact
from airflow.sdk import BaseNotifier

from airflow_dataml import config
from airflow_dataml.core.runs import digest_of
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.base import identity_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk.definitions.context import Context


class IncidentNotifier(BaseNotifier):
    """Opens a data incident on a dataset; use it as ``on_failure_callback`` of the tasks that feed it.

    While it is open, monitors of models that depend on the dataset do not ask for retraining.

    :param dataset: logical name of the dataset.
    :param title: what to say. Templated.
    :param severity: ``low``, ``medium`` or ``high``.
    :param dataml_conn_id: connection of the ledger; ``[dataml] conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("title",)

    def __init__(
        self,
        *,
        dataset: str,
        title: str = "task {{ ti.dag_id }}.{{ ti.task_id }} failed",
        severity: str = "medium",
        dataml_conn_id: str | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.title = title
        self.severity = severity
        self.dataml_conn_id = dataml_conn_id

    def notify(self, context: Context) -> None:
        """Write the report and open the incident; the same failure twice is one."""
        identity = identity_of(context, suffix=".failure")
        error = context.get("exception")
        body = {
            "error": type(error).__name__ if error else "unknown",
            "message": str(redact(str(error)))[:2000] if error else "",
            "partition_key": identity.partition_key,
        }
        with DataMLHook(self.dataml_conn_id or config.conn_id()).ledger() as ledger, ledger.transaction():
            run = ledger.runs.begin(identity, input_digest=digest_of(failure=body))
            report = ledger.reports.add(
                run=run, fact=run.fact(self.dataset), kind="failure", verdict="error", body=body
            )
            ledger.incidents.open(
                asset=self.dataset,
                kind="data",
                severity=self.severity,
                title=self.title,
                report_id=report.report_id,
                partition_key=identity.partition_key,
            )
