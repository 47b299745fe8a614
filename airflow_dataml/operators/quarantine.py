"""The operator that brings quarantined rows back as a staged batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.stores import MergeSpec
from airflow_dataml.operators.base import (
    DataMLOperator,
    branch_of,
    layout_of,
    location_of,
    register,
    store_of,
)
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.ingest import Target
from airflow_dataml.steps.replay import quarantined, stage_replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class QuarantineReplayOperator(DataMLOperator):
    """Stage quarantined rows, repaired or as they are, as a batch to verify and publish.

    Nothing else changes before the batch is published, which closes their quarantine; rows that break the
    contract again are set aside anew, or the batch is refused and they stay where they are. Skips when nothing
    of the batch is quarantined.

    :param dataset: the managed dataset.
    :param quarantine: number of the quarantine; all open ones of the run's batch unless given. Templated.
    :param repair_sql: a SELECT, or a ``.sql`` file, over ``quarantined``: the batch's columns and ``_reasons``,
        the ids of the checks each row broke. Of its result the batch's columns are taken. Templated.
    :param mode: ``append``, or ``merge`` for rows whose keys may have been published since.
    :param keys: columns a merge matches rows by; the layout's keys unless given.
    :param partition_key: the batch; the run's own partition key unless given. Templated.
    :param branch: as for ``DatasetStageOperator``; a quarantine named by number brings its own. Templated.
    """

    template_fields: Sequence[str] = ("quarantine", "repair_sql", "partition_key", "branch")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"repair_sql": "sql"}  # noqa: RUF012 - Airflow reads a plain class attribute

    def __init__(
        self,
        *,
        dataset: Asset,
        quarantine: int | str | None = None,
        repair_sql: str | None = None,
        mode: Literal["append", "merge"] = "append",
        keys: Sequence[str] = (),
        partition_key: str | None = None,
        branch: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.quarantine = quarantine
        self.repair_sql = repair_sql
        self.mode = mode
        self.keys = keys
        self.partition_key = partition_key
        self.branch = branch

    def declares(self) -> Declared:
        """Return the dataset whose rows were set aside."""
        return Declared(
            kind="REPAIR",
            inputs=[self.dataset],
            subject=self.dataset,
            sql=self.repair_sql,
            hands_over=True,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the rows and return the staged part."""
        name = self.dataset.name
        self.link(context, name)
        key = self.partition_key_of(context, self.partition_key)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            found = quarantined(
                ledger,
                name,
                quarantine_id=_number(self.quarantine),
                partition_key=key,
                branch=branch_of(context, self.branch),
            )
            if not found:
                msg = f"Nothing of {name} {key or 'without partition key'} is quarantined."
                raise AirflowSkipException(msg)
            layout = layout_of(ledger, self.dataset)
            keys = tuple(self.keys) or layout.keys
            if self.mode == "merge" and not keys:
                msg = f"task {self.task_id!r}: mode='merge' needs keys: give keys=[...], or the dataset a layout with keys."
                raise SpecError(msg)
            staged = stage_replay(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                target=Target(
                    asset=name,
                    mode=self.mode,
                    layout=layout,
                    partition_key=found[0].partition_key,
                    merge=MergeSpec(keys) if self.mode == "merge" else None,
                    location=location_of(self.dataset),
                    branch=found[0].branch,
                ),
                rows_of=found,
                repair=self.repair_sql,
            )
        return staged.to_dict()


def _number(value: int | str | None) -> int | None:
    """Read what a template gave; nothing means all of the batch."""
    text = "" if value is None else str(value).strip()
    if text in ("", "None"):
        return None
    if not text.isdecimal():
        msg = f"quarantine {value!r} is not a number of `dataml quarantine list`."
        raise SpecError(msg)
    return int(text)
