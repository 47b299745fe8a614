"""The operator that makes a dataset of what a model finds hard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.adapters.sqlglot import parser_if_installed
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.hard_examples import HardExamplePolicy
from airflow_dataml.operators.base import authored, ref_of, register, store_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.staging import StagingOperator
from airflow_dataml.steps.hard_examples import stage_hard_examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.core.datasets import WriteMode


class HardExamplesOperator(StagingOperator):
    """Stage the labelled rows of scored batches that a model finds hard, for the training of the next one.

    Hard is what the champion got surely wrong, and where a challenger or another shadow scores far from it. Publish
    what it returns as after any stage task; a ``TrainingSpec`` then names the dataset under ``hard_examples``, and
    its rows count for more in the loss. A training weights rows before its plan's cut alone, so nothing of a
    holdout is learnt. Heavier rows pull the scores towards themselves: the evaluation says whether that paid.

    Skips where there is no hard row yet, as while nothing is labelled; let what follows run all the same with
    ``trigger_rule="none_failed"``, for a training without hard rows counts every row the same.

    :param model: the model.
    :param predictions: its predictions.
    :param key_columns: columns that join predictions to labels; those of the training plan's window, or more.
    :param labels: a dataset that brings labels later; else they are in the scored dataset.
    :param policy: which rows, and how many (``HardExamplePolicy``, or its fields).
    :param mode: ``replace`` what was hard before with what is in the newest batches, the default; ``partition``
        searches the batch of the run's partition key alone.

    The other parameters are those of ``StagingOperator``.
    """

    template_fields: Sequence[str] = ("key_columns", "policy", "partition_key", "branch")

    def __init__(
        self,
        *,
        model: Asset,
        predictions: Asset | str,
        key_columns: Sequence[str],
        labels: Asset | str | None = None,
        policy: HardExamplePolicy | Mapping[str, Any] | None = None,
        mode: WriteMode = "replace",
        **kwargs: Any,
    ) -> None:
        super().__init__(mode=mode, **kwargs)
        self.model = model
        self.predictions = predictions
        self.key_columns = key_columns
        self.labels = labels
        self.policy = policy

    def declares(self) -> Declared:
        """Return the predictions, the model, and what brings labels."""
        inputs = [self.predictions, self.model, *([self.labels] if self.labels else [])]
        return Declared(kind="TRANSFORMATION", inputs=inputs, subject=self.dataset, hands_over=True)

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the hard rows and return the staged part."""
        self.link(context, self.dataset.name)
        policy = authored(HardExamplePolicy, self.policy)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            staged = stage_hard_examples(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                target=self.target(ledger, context),
                model=self.model.name,
                predictions=ref_of(self.predictions),
                key_columns=tuple(self.key_columns),
                policy=policy,
                labels=ref_of(self.labels) if self.labels else None,
                parser=parser_if_installed(),
            )
            if not isinstance(staged, Decision):
                self.tell(ledger, read=staged.inputs)
        if isinstance(staged, Decision):
            msg = f"No hard examples of {self.model.name!r}: {'; '.join(staged.reasons)}."
            raise AirflowSkipException(msg)
        return staged.to_dict()
