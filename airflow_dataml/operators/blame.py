"""The operator that finds out which version change explains that a model drifted or decayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airflow_dataml.core.blame import BlamePolicy
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.facets import outcome, parameters
from airflow_dataml.links import IncidentsLink
from airflow_dataml.operators.base import DataMLOperator, authored, branch_of
from airflow_dataml.operators.bench import bench
from airflow_dataml.operators.facets import Declared
from airflow_dataml.steps.blame import blame_incident

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report


class ModelBlameOperator(DataMLOperator):
    """Explain an incident of a model: rank the version changes upstream that can have caused it, and replay them.

    The ranking is kept as a report and written into the incident; "no data cause found" is an answer and fails no
    task. Costs up to two scorings of ``policy.rows`` rows per suspect, and, where a suspect has earlier rows, the
    queries between it and the model once more, in a transaction that is rolled back.

    :param model: the model.
    :param incident: number of the incident; unless given ``incident`` of the run's configuration, else that of the
        event of an ``AssetWatcher`` with ``IncidentEventTrigger`` that started the run, else the newest open one
        of drift or decay. Without any the task is skipped, and so it is in a run on a branch. Templated.
    :param policy: what counts as a cause (``BlamePolicy``, or its fields).
    :param mlflow_conn_id: connection of MLflow; ``[dataml] mlflow_conn_id`` unless given.
    """

    template_fields: Sequence[str] = ("incident", "policy")
    operator_extra_links = (*DataMLOperator.operator_extra_links, IncidentsLink())

    def __init__(
        self,
        *,
        model: Asset,
        incident: Any = None,
        policy: BlamePolicy | dict[str, Any] | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.model = model
        self.incident = incident
        self.policy = policy
        self.mlflow_conn_id = mlflow_conn_id

    def declares(self) -> Declared:
        """Return the model; which data it read the ledger knows."""
        return Declared(kind="MONITORING", inputs=[self.model], subject=self.model)

    def execute(self, context: Context) -> dict[str, Any]:
        """Explain the incident and return the report's id and what it came to."""
        self.link(context, self.model.name)
        if branch := branch_of(context, None):
            msg = f"Nothing of {self.model.name!r} is explained on branch {branch!r}: incidents are of what everybody reads."
            raise AirflowSkipException(msg)
        policy = authored(BlamePolicy, self.policy)
        with self.ledger() as ledger:
            report = blame_incident(
                ledger=ledger,
                warehouse=ledger.warehouse,
                identity=self.identity(context),
                incident=self._meant(ledger, context),
                bench=bench(self.mlflow_conn_id),
                policy=policy,
            )
            self._tell_report(ledger, report, policy)
        self.link(context, report.asset, report=report.report_id)
        body = report.body
        return {
            "report": report.report_id,
            "incident": body["incident"],
            "outcome": body["outcome"],
            "cause": body["cause"],
            "summary": body["summary"],
        }

    def _meant(self, ledger: PostgresLedger, context: Context) -> int:
        """The incident to explain, which is one of this model."""
        asked = next(iter(_asked(self.incident, context)), None)
        if asked is None:
            open_ones = [
                one.incident_id
                for one in ledger.incidents.list(asset=self.model.name)
                if one.kind in ("drift", "decay") and one.state != "resolved"
            ]
            if not open_ones:
                msg = f"{self.model.name!r} has no open incident of drift or decay: there is nothing to explain."
                raise AirflowSkipException(msg)
            return open_ones[0]
        try:
            found = ledger.incidents.get(int(asked))
        except ValueError as err:
            msg = f"incident={asked!r} is no number of an incident."
            raise SpecError(msg) from err
        if found.asset != self.model.name:
            msg = f"incident {found.incident_id} is about {found.asset!r} and this task about {self.model.name!r}."
            raise SpecError(msg)
        return found.incident_id

    def _tell_report(self, ledger: PostgresLedger, report: Report, policy: BlamePolicy) -> None:
        body = report.body
        found = outcome(
            "blame",
            report.verdict,
            type="blame",
            expected="no version change upstream explains the incident",
            actual=body["summary"],
            params={"report": report.report_id, "incident": body["incident"]},
        )
        batch = {body["features"].partition("@")[0]: {"partitions": [body["partition_key"]]}}
        self.tell(
            ledger,
            read=[body["model"], body["features"], *(one["version"] for one in body["suspects"])],
            subsets=batch,
            tests=(found,),
            parameters=parameters(policy.model_dump(mode="json")),
        )


def _asked(given: Any, context: Context) -> Iterator[Any]:
    """What says which incident is meant, the nearest first."""
    if given not in (None, "", "None"):
        yield given
    conf = getattr(context["dag_run"], "conf", None) or {}
    if conf.get("incident"):
        yield conf["incident"]
    events: Any = context.get("triggering_asset_events") or {}
    for asset in events:
        for event in reversed(list(events[asset])):
            payload = (event.extra or {}).get("payload") or {}
            if payload.get("kind") in ("drift", "decay") and payload.get("number"):
                yield payload["number"]
