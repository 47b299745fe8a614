"""The operator that joins datasets as they were at the time of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_dataml.adapters.sqlglot import parser_if_installed
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.point_in_time import PointInTimeJoin
from airflow_dataml.operators.base import authored, ref_of, register, store_of
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.staging import StagingOperator
from airflow_dataml.steps.point_in_time import stage_point_in_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk.definitions.context import Context


class PointInTimeJoinOperator(StagingOperator):
    """Stage the rows of a dataset, each with what other datasets say of its own time, and of no later one.

    Both times count: when something came true (``time_column`` of each join), and when readers could know it
    (``known_at``, and ``known`` of each join). With ``known_at`` the same rows come out again after corrections.
    Publish what it returns as after any stage task; exact versions are the lineage of the result.

    :param spine: the dataset whose rows come out, each once; a string pins a version.
    :param time_column: when a row of it happened.
    :param joins: what is added (``PointInTimeJoin``, or its fields); ``dataset`` may be the asset itself.
    :param columns: columns of the spine to keep; all unless given.
    :param known_at: ISO time; bare names stand for what readers saw then. Templated.

    The other parameters are those of ``StagingOperator``.
    """

    template_fields: Sequence[str] = ("known_at", "partition_key", "branch")

    def __init__(
        self,
        *,
        spine: Asset | str,
        time_column: str,
        joins: Sequence[PointInTimeJoin | Mapping[str, Any]],
        columns: Sequence[str] = (),
        known_at: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spine = spine
        self.time_column = time_column
        self.columns = columns
        self.known_at = known_at
        self._joined = [
            one.dataset if isinstance(one, PointInTimeJoin) else one.get("dataset", "") for one in joins
        ]
        self.joins = [one if isinstance(one, PointInTimeJoin) else _plain(one) for one in joins]

    def declares(self) -> Declared:
        """Return the datasets that are joined."""
        return Declared(
            kind="TRANSFORMATION",
            inputs=[self.spine, *self._joined],
            subject=self.dataset,
            hands_over=True,
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Join into a staged part and return it."""
        self.link(context, self.dataset.name)
        joins = [authored(PointInTimeJoin, one) for one in self.joins]
        if not joins:
            msg = f"task {self.task_id!r} joins nothing to {ref_of(self.spine)!r}: write joins=[...]."
            raise SpecError(msg)
        with self.ledger() as ledger:
            register(ledger, self.dataset)
            staged = stage_point_in_time(
                ledger=ledger,
                store=store_of(ledger, self.dataset),
                identity=self.identity(context),
                target=self.target(ledger, context),
                spine=ref_of(self.spine),
                time_column=self.time_column,
                joins=joins,
                columns=self.columns,
                known_at=self.known_at,
                parser=parser_if_installed(),
            )
            self.tell(ledger, read=staged.inputs)
        return staged.to_dict()


def _plain(join: Mapping[str, Any]) -> dict[str, Any]:
    """A join that names its dataset, for an asset cannot be shown as JSON."""
    dataset = join.get("dataset")
    return {**join, "dataset": dataset.name} if isinstance(dataset, Asset) else dict(join)
