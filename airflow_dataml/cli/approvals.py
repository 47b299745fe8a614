"""Who was asked to approve what, who answered, and what it came to: ``dataml approvals``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.cli.connection import use_airflow
from airflow_dataml.cli.spec import FAILED, OK, Argument, Command, Output, positive
from airflow_dataml.cli.tables import table

if TYPE_CHECKING:
    import argparse

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.adapters.postgres.reading_approvals import ApprovalRow

_COLUMNS = (
    "entry",
    "release",
    "assets",
    "state",
    "needs",
    "asked_by",
    "requested_at",
    "expires_at",
    "answers",
)


def approvals(ledger: PostgresLedger, args: argparse.Namespace) -> Output:
    """List approvals, newest first."""
    from airflow_dataml.adapters.postgres.reading_approvals import TAMPERED, ApprovalReading

    if args.asset:
        ledger.assets.get(args.asset)
    found = ApprovalReading(ledger.connection).approvals(
        asset=args.asset,
        release_hash=args.release,
        waiting=args.waiting,
        before=args.before,
        limit=args.limit,
    )
    data = [row.approval.to_dict() | {"entry": row.seq, "state": row.state} for row in found]
    wrong = [
        f"The entries of release {one['release_hash']} were changed."
        for one in data
        if one["state"] == TAMPERED
    ]
    if args.check:
        use_airflow()
        from airflow_dataml.cli.witness import unwitnessed

        for one, row in zip(data, found, strict=True):
            missing = unwitnessed(row.approval)
            one["not_in_airflow"] = [vote.to_dict() for vote in missing]
            wrong += [
                f"Airflow's log has no answer of {vote.voter} at {vote.voted_at:%Y-%m-%d %H:%M:%S} UTC to release {vote.release_hash}."
                for vote in missing
            ]
    text = table(_COLUMNS, map(_cells, found), empty="Nobody was asked.")
    return Output(data, "\n".join([text, *wrong]), FAILED if wrong else OK)


def _cells(row: ApprovalRow) -> list[Any]:
    approval = row.approval
    request, policy = approval.request, approval.request.policy
    answers = [
        f"{vote.voter} {'approved' if vote.approves else 'rejected'} {vote.voted_at:%Y-%m-%d %H:%M:%S}"
        + (f" ({vote.comment})" if vote.comment else "")
        for vote in approval.votes
    ]
    return [
        str(row.seq),
        request.release_hash,
        ", ".join(entry.version or entry.asset for entry in request.release.entries),
        row.state,
        f"{policy.required} of {', '.join(policy.approvers)}",
        ", ".join(request.requesters) or "nobody in person",
        request.requested_at,
        approval.expires_at,
        "; ".join(answers) or "none",
    ]


APPROVALS = Command(
    "approvals",
    "List who was asked to approve which release, who answered, and what it came to; newest first",
    approvals,
    (
        Argument(("release",), {"nargs": "?", "metavar": "HASH", "help": "Only of the release of this hash"}),
        Argument(("--asset",), {"metavar": "NAME", "help": "Only of releases of this asset"}),
        Argument(
            ("--check",),
            {
                "action": "store_true",
                "help": "Look each answer up in Airflow's log of what users did; exit 1 where one is missing; starts Airflow",
            },
        ),
        Argument(("--waiting",), {"action": "store_true", "help": "Only those that are not over"}),
        Argument(
            ("--before",), {"type": positive, "metavar": "NUMBER", "help": "Only those with entries before this one"}
        ),
        Argument(("--limit",), {"type": positive, "default": 100, "metavar": "N", "help": "Rows at most"}),
    ),
)  # fmt: skip
