"""The operator that asks people, through Airflow's own human-in-the-loop page, to approve a release."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators import hitl
from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import HITLUser, upsert_hitl_detail

from airflow_dataml.core.approvals import ApprovalPolicy, ApprovalVote, now_utc
from airflow_dataml.core.errors import ApprovalDeniedError, PromotionRefusedError
from airflow_dataml.core.release import ReleaseRequest
from airflow_dataml.operators.base import DataMLOperator, authored, refuse_branch, register
from airflow_dataml.operators.facets import Declared
from airflow_dataml.operators.release_targets import release_target, version_meant
from airflow_dataml.steps.approve import (
    record_vote,
    refuse_vote,
    request_approval,
    require_same,
    settle_approval,
)
from airflow_dataml.steps.release import plan_release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Asset
    from airflow.sdk.definitions.context import Context

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.release import Release
    from airflow_dataml.steps.approve import Asking

# Airflow takes no time-out that is over already.
_SOON = timedelta(seconds=1)
# A task that goes on before the executor has told that it paused is taken for lost; a retry has its answers.
_DEFAULTS = {"multiple_outputs": True, "retries": 3, "retry_delay": timedelta(seconds=5)}


class ApprovalOperator(DataMLOperator, hitl.ApprovalOperator):
    """Ask people to approve what a later task releases, until enough have answered.

    The task waits on Airflow's page *Required Actions*, in the state ``awaiting_input``, where it holds no worker.
    One person answers at a time; after each answer that does not end it, the task asks again. Airflow's API server
    hands over the answer with the user who was logged in: what has no user counts for nothing, a task cannot answer
    for itself, and no argument, XCom or configuration of a run says that something is approved. An answer that is
    lost because its task was killed is asked for again. Request, answers and end are in the audit chain, bound to the hash of what is released.

    The task that releases counts the answers again by a policy of its own, so give both the same one:

    .. code-block:: python

        POLICY = ApprovalPolicy(required=2, approvers=("ann", "bob", "eve"), expires_after=86_400)

        approve = ApprovalOperator(task_id="approve", models={MODEL: evaluate.output}, policy=POLICY)
        promote = ModelPromoteOperator(
            task_id="promote", model=MODEL, evaluation=evaluate.output["report"], approval=POLICY
        )
        approve >> promote

    Refused in a run on a branch. Where an evaluation did not pass, nobody is asked.

    :param policy: who must agree, until when.
    :param models: by model, the version that is to be champion: ``name@number``, ``name@alias``, or what its
        evaluation returned. Templated.
    :param datasets: by dataset, what readers are to see: ``name@number``, or what its stage task returned. Templated.
    :param subject: headline of the request; says what is released unless given. Templated.
    :param body: what people read before they answer, above what is released. Markdown. Templated.
    :param fail_on_reject: fail when people reject, rather than skip what comes after.
    :param notifiers: told when an answer is first waited for.
    :param retries: three unless given; a retry asks on, with the answers it has.
    """

    template_fields: Sequence[str] = ("dataset_versions", "model_versions", "subject", "body")

    def __init__(
        self,
        *,
        policy: ApprovalPolicy | Mapping[str, Any],
        models: Mapping[Asset, Any] | None = None,
        datasets: Mapping[Asset, Any] | None = None,
        subject: str = "",
        body: str = "",
        **kwargs: Any,
    ) -> None:
        given = kwargs.get("default_args") or {}
        for name, value in _DEFAULTS.items():
            if name not in given:
                kwargs.setdefault(name, value)
        comment = Param("", type="string", title="Comment", description="Kept in the audit chain.")
        super().__init__(subject=subject, body=body, params={"comment": comment}, **kwargs)
        self.policy = policy
        self.models, self.datasets = list(models or {}), list(datasets or {})
        # By name, because Airflow shows template fields as JSON.
        self.model_versions = {asset.name: to for asset, to in (models or {}).items()}
        self.dataset_versions = {asset.name: to for asset, to in (datasets or {}).items()}

    def declares(self) -> Declared:
        """Return nothing but the kind: what is released is another task's work."""
        return Declared(kind="APPROVAL", models=bool(self.models))

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, or go on waiting where an earlier try asked."""
        refuse_branch(context, "an approval")
        policy, identity = authored(ApprovalPolicy, self.policy), self.identity(context)
        for asset in [*self.models, *self.datasets][:1]:
            self.link(context, asset.name)
        with self.ledger() as ledger:
            evaluations = self._evaluations(ledger)
            if worse := [report for report in evaluations if report.verdict != "pass"]:
                self.log.info("Nobody is asked about what is not surely better")
                said = [str(report.body.get("summary") or report.verdict) for report in worse]
                return {"action": "none", "reasons": said, "release_hash": None, "reports": {}}
            release = self._plan(ledger)
            asking = request_approval(ledger=ledger, identity=identity, release=release, policy=policy)
            self._tell_end(ledger, asking)
        if asking.over:
            return self._ended(context, asking, policy)
        asked = asking.approval.request.requesters
        eligible = policy.eligible(asked)
        self.assigned_users = [HITLUser(id=name, name=name) for name in eligible] if eligible else None
        self.subject = self.subject or f"Approve the release of {_listed(release)}?"
        self.body = "\n\n".join(filter(None, [self.body, _told(asking, evaluations)]))
        return self._wait(context, asking, tell=True)

    def execute_complete(
        self, context: Context, event: dict[str, Any], release_hash: str = ""
    ) -> dict[str, Any]:
        """Take the one answer that Airflow's API server recorded; ask again until it is over.

        :param event: the answer with the logged-in user who gave it, or that the time is over.
        :param release_hash: what was asked about.
        """
        policy = authored(ApprovalPolicy, self.policy)
        identity = self.identity(context)
        with self.ledger() as ledger:
            release = self._plan(ledger)
            require_same(ledger=ledger, identity=identity, asked=release_hash, release=release)
            if "error" in event:
                self.log.info("No answer: %s", event["error"])
                asking = settle_approval(ledger=ledger, identity=identity, release=release)
            else:
                asking = self._answered(ledger, context, release, event)
            self._tell_end(ledger, asking)
        return self._ended(context, asking, policy) if asking.over else self._wait(context, asking)

    def _answered(
        self, ledger: PostgresLedger, context: Context, release: Release, event: Mapping[str, Any]
    ) -> Asking:
        identity, person = self.identity(context), event.get("responded_by_user")
        chosen, at = event.get("chosen_options"), event.get("responded_at")
        if not person or not at or chosen not in ([self.APPROVE], [self.REJECT]):
            why = f"Airflow says of no person that they gave it: {chosen}"
            return refuse_vote(ledger=ledger, identity=identity, release=release, why=why)
        vote = ApprovalVote(
            voter_id=person["id"],
            voter=person["name"],
            approves=chosen == [self.APPROVE],
            voted_at=at,
            release_hash=release.release_hash,
            ti_id=str(identity.ti_id),
            comment=str((event.get("params_input") or {}).get("comment") or ""),
        )
        return record_vote(ledger=ledger, identity=identity, release=release, vote=vote)

    def _wait(self, context: Context, asking: Asking, *, tell: bool = False) -> dict[str, Any]:
        """Park the task; an answer that was there is out of Airflow's record from here on."""
        self.log.info("Waiting: %s", "; ".join(asking.decision.reasons))
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=self.options,
            subject=self.subject,
            body=self.body,
            params=self.serialized_params,
            assigned_users=self.assigned_users,
        )
        for notifier in self.notifiers if tell else ():
            notifier(context)
        raise TaskAwaitingInput(
            method_name="execute_complete",
            kwargs={"release_hash": asking.approval.request.release_hash},
            timeout=max(asking.approval.expires_at - now_utc(), _SOON),
        )

    def _ended(self, context: Context, asking: Asking, policy: ApprovalPolicy) -> dict[str, Any]:
        decision = asking.decision
        for name, report in asking.reports.items():
            self.link(context, name, report=report)
        if decision.action == "approve":
            self.log.info("Approved: %s", "; ".join(decision.reasons))
            return asking.to_dict()
        expired = decision.action == "expire"
        if policy.on_expiry == "fail" if expired else self.fail_on_reject:
            msg = f"release {asking.approval.request.release_hash} is not approved: {'; '.join(decision.reasons)}"
            raise ApprovalDeniedError(msg, asking.to_dict())
        self.log.warning("Not approved: %s", "; ".join(decision.reasons))
        self._skip_rest(context)
        return asking.to_dict()

    def _skip_rest(self, context: Context) -> None:
        every, task = self.ignore_downstream_trigger_rules, context["task"]
        after = (
            task.get_flat_relatives(upstream=False) if every else task.get_direct_relatives(upstream=False)
        )
        if rest := [one for one in after if not one.is_teardown]:
            self.skip(ti=context["ti"], tasks=rest)

    def _plan(self, ledger: PostgresLedger) -> Release:
        for asset in self.datasets:
            register(ledger, asset)
        targets = (
            release_target(ledger, asset, self.dataset_versions[asset.name]) for asset in self.datasets
        )
        return plan_release(
            ledger=ledger,
            store=ledger.store,
            wanted=ReleaseRequest(
                reason="approval",
                datasets=tuple(targets),
                models={
                    name: self._model_version(ledger, name, to) for name, to in self.model_versions.items()
                },
            ),
        )

    def _model_version(self, ledger: PostgresLedger, name: str, to: Any) -> str:
        report = _evaluation(ledger, to)
        if report is None:
            return version_meant(name, to)
        if report.asset != name or report.version_id is None:
            msg = f"report {report.report_id} evaluates {report.asset!r}, and {name!r} is to be approved: hand over its own evaluation."
            raise PromotionRefusedError(msg, report.body)
        return ledger.versions.by_id(report.version_id).ref

    def _evaluations(self, ledger: PostgresLedger) -> list[Report]:
        found = (_evaluation(ledger, to) for to in self.model_versions.values())
        return [report for report in found if report is not None]

    def _tell_end(self, ledger: PostgresLedger, asking: Asking) -> None:
        if not asking.over:
            return
        entries = asking.approval.request.release.entries
        said = {"action": asking.decision.action, "reasons": list(asking.decision.reasons)}
        first = entries[0]
        self.tell(
            ledger,
            read=[entry.version for entry in entries if entry.version],
            decision=said
            | {"asset": first.asset, "version": first.version, "report": asking.reports.get(first.asset)},
        )


def _evaluation(ledger: PostgresLedger, to: Any) -> Report | None:
    return ledger.reports.get(int(to["report"])) if isinstance(to, dict) and "report" in to else None


def _listed(release: Release) -> str:
    return ", ".join(entry.version or f"a new version of {entry.asset}" for entry in release.entries)


def _told(asking: Asking, evaluations: Sequence[Report]) -> str:
    """Return what people must know before they answer, as Markdown."""
    request, ends = asking.approval.request, asking.approval.expires_at
    policy = request.policy
    rows = [
        f"| {entry.asset} | {entry.left or 'nothing'} | {entry.version or 'what was staged'} | `{entry.content[:16]}` |"
        for entry in request.release.entries
    ]
    found = [f"- {one.asset}: {one.body.get('summary')} (report {one.report_id})" for one in evaluations]
    who = f"of {', '.join(policy.named)}" if policy.named else "people"
    by = ", ".join(request.requesters) or "nobody in person"
    silent = (
        "" if policy.requester_may_approve or not request.requesters else ", whose approval does not count"
    )
    return "\n".join(
        [
            "| Asset | Readers see | They shall see | Content |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            *found,
            "",
            f"Release `{request.release_hash}`, asked for by {by}{silent}. {policy.required} {who} must approve until "
            f"{ends:%Y-%m-%d %H:%M} UTC; after each answer the request is open again until it is decided.",
        ]
    )
