"""What Airflow itself remembers of answers to human-in-the-loop requests, beside what the ledger does."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_dataml.core.approvals import Approval, ApprovalVote

_EVENT = "update_hitl_detail"
# Airflow logs who sends an answer just before it dates the answer.
_BEFORE, _AFTER = timedelta(seconds=30), timedelta(seconds=1)


def unwitnessed(approval: Approval) -> list[ApprovalVote]:
    """Return the votes that Airflow's log of what users did knows nothing of; reads Airflow's own database.

    That log is written by the API server alone, so a vote that some task made up is not in it. It is purged by
    ``airflow db clean``, after which votes of that time are not in it either.
    """
    from airflow.utils.session import create_session

    with create_session() as session:
        return [vote for vote in approval.votes if not _is_witnessed(session, approval.asked_by, vote)]


def _is_witnessed(session: Session, asked_by: str, vote: ApprovalVote) -> bool:
    from airflow.models.log import Log
    from sqlalchemy import select

    dag_id, run_id, task_id, map_index = asked_by.removeprefix("task:").split("/")
    query = select(Log.extra).where(
        Log.event == _EVENT,
        Log.dag_id == dag_id,
        Log.run_id == run_id,
        Log.task_id == task_id,
        Log.owner.in_(sorted(vote.names)),
        Log.dttm.between(vote.voted_at - _BEFORE, vote.voted_at + _AFTER),
    )
    wanted = ["Approve" if vote.approves else "Reject"]
    said = (json.loads(extra or "{}") for extra in session.scalars(query))
    return any(
        one.get("chosen_options") == wanted and str(one.get("map_index", -1)) == map_index for one in said
    )
