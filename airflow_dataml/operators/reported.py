"""The operator that brings windows of a model served elsewhere under watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.operators.base import DataMLOperator, refuse_branch
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.reported import report_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context


class ModelWindowReportOperator(DataMLOperator):
    """Keep the counts of one window of a model that is served elsewhere; ``ModelMonitorOperator`` then watches it.

    The same numbers again change nothing, other numbers are refused, and labels may follow. A count in other bins than
    those of the reference is refused before anything is written.

    :param model: the model.
    :param window: what ``core.window_counts.count_window`` made, mostly the output of a task before. Templated.
    :param version: number or alias of the version that serves; the champion unless given. Templated.
    """

    template_fields: Sequence[str] = ("window", "version")

    def __init__(
        self,
        *,
        model: Asset,
        window: Mapping[str, Any] | Any,
        version: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.model = model
        self.window = window
        self.version = version

    def declares(self) -> Declared:
        """Return the model; the rows are somebody else's."""
        return Declared(kind="MONITORING", inputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Keep the window and return its report's id."""
        self.link(context, self.model.name)
        refuse_branch(context, f"a window of {self.model.name!r}")
        named = self.model.name if self.version in (None, "") else f"{self.model.name}@{self.version}"
        with self.ledger() as ledger:
            found = report_window(
                ledger=ledger, identity=self.identity(context), model=named, given=self.window
            )
            self.tell(ledger, read=[found.model])
        self.link(context, self.model.name, report=found.report)
        return found.to_dict()
