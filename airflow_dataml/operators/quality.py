"""The operator that verifies a staged batch against its contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.errors import SpecError
from airflow_dataml.operators.base import DataMLOperator, ref_of, staged_for
from airflow_dataml.steps.verify import verify_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.steps.verify import Scope


class QualityCheckOperator(DataMLOperator):
    """Run a Soda contract on a staged batch; keep the evidence, then refuse what fails.

    :param dataset: the dataset the batch is for.
    :param staged: what the stage task returned. Templated.
    :param contract: Soda contract file. Templated.
    :param scope: ``result`` checks what readers would see after publication (cost grows with the
        dataset), ``batch`` the new rows alone.
    :param references: dataset named in a ``valid_reference_data`` -> the managed dataset whose current version is meant.
    :param data_timestamp: ISO time that freshness is measured against; now unless given. Templated.
    :param variables: contract variables. Templated.
    :param timeout: seconds one statement of the engine may take.
    """

    template_fields: Sequence[str] = ("staged", "contract", "data_timestamp", "variables")

    def __init__(
        self,
        *,
        dataset: Asset,
        staged: Any,
        contract: str,
        scope: Scope = "result",
        references: Mapping[str, Asset | str] | None = None,
        data_timestamp: str | None = None,
        variables: Mapping[str, str] | None = None,
        timeout: float = 600,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.dataset = dataset
        self.staged = staged
        self.contract = contract
        self.scope = scope
        self.references = references
        self.data_timestamp = data_timestamp
        self.variables = variables
        self.timeout = timeout

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the batch and return the verdict."""
        from airflow_dataml.adapters.soda import SodaEngine

        self.link(context, self.dataset.name)
        contract = Contract.from_file(self.contract)
        with self.ledger() as ledger:
            report = verify_part(
                ledger=ledger,
                warehouse=ledger.warehouse,
                engine=SodaEngine(),
                identity=self.identity(context),
                staged=staged_for(self.dataset, self.staged),
                contract=contract,
                scope=self.scope,
                references={name: ref_of(asset) for name, asset in (self.references or {}).items()},
                data_timestamp=_timestamp(self.data_timestamp),
                variables=self.variables,
                timeout_s=self.timeout,
            )
        self.link(context, self.dataset.name, report=report.report_id)
        return {"report": report.report_id, "verdict": report.verdict, "summary": report.body.get("summary")}


def _timestamp(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        msg = f"data_timestamp {text!r} is not an ISO time such as 2013-10-01T00:00:00+00:00."
        raise SpecError(msg) from err
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
