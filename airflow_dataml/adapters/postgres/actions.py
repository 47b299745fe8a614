"""What people do to the ledger from the page: each change with an entry of the audit chain, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.alarm_record import check_reason
from airflow_dataml.core.errors import ConflictError, NotFoundError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.connection import Connection

# Where an incident may go from where it is; nothing leads back from resolved, the same trouble is a new one.
FORWARD: dict[str, tuple[str, ...]] = {
    "new": ("acknowledged", "assigned", "resolved"),
    "acknowledged": ("assigned", "resolved"),
    "assigned": ("acknowledged", "assigned", "resolved"),
    "resolved": (),
}
_MOVE = """
UPDATE dataml.incident SET state = %s, assignee = coalesce(%s, assignee),
       resolution = CASE WHEN %s = 'resolved' THEN %s ELSE resolution END,
       resolved_at = CASE WHEN %s = 'resolved' THEN clock_timestamp() END
WHERE incident_id = %s
"""


class PostgresActions:
    """Changes that a person asked for.

    :param connection: the ledger's connection; its role must be an approver's or a writer's.
    :param actor: the person, as the auth manager names them.
    """

    def __init__(self, connection: Connection, *, actor: str) -> None:
        self._db = connection
        self._actor = f"user:{actor}"

    def move_incident(
        self,
        incident_id: int,
        *,
        state: str,
        words: str,
        assignee: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Acknowledge, assign or resolve an incident.

        :param words: why, kept in the audit chain; of a resolved incident it is the resolution.
        :param reason: of a resolution, what the alarm turned out to be; false alarms are counted against the budget.
        :raises NotFoundError: there is no such incident.
        :raises ConflictError: it is resolved, or where it shall go already.
        :raises SpecError: nobody was named to assign it to, a resolution has no words, or the reason is none.
        """
        check_reason(reason)
        if reason is not None and state != "resolved":
            msg = f"incident {incident_id} has a reason once it is resolved: leave it out, or resolve it."
            raise SpecError(msg)
        if state == "assigned" and not assignee:
            msg = f"incident {incident_id} can be assigned to a person only: name one as assignee."
            raise SpecError(msg)
        if state == "resolved" and not words.strip():
            msg = f"incident {incident_id} can be resolved with words only: say what was done."
            raise SpecError(msg)
        with self._db.transaction():
            now = self._db.row(
                "SELECT state, assignee FROM dataml.incident WHERE incident_id = %s FOR UPDATE", [incident_id]
            )
            if now is None:
                msg = f"incident {incident_id} is not in the ledger."
                raise NotFoundError(msg)
            if state not in FORWARD[now["state"]] or (state, assignee) == (now["state"], now["assignee"]):
                msg = f"incident {incident_id} is {now['state']} and cannot become {state}: look at it again."
                raise ConflictError(msg)
            self._db.execute(_MOVE, [state, assignee, state, words, state, incident_id])
            detail = {"from": now["state"], "to": state, "words": words, "assignee": assignee}
            detail |= {"reason": reason} if reason else {}
            self.note(action=f"{state} incident", subject=f"incident {incident_id}", detail=detail)

    def note(self, *, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Append to the audit chain what the person did, within the caller's transaction."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            "INSERT INTO dataml.audit (actor, action, subject, detail) VALUES (%s, %s, %s, %s)",
            [self._actor, action, subject, Jsonb(dict(detail))],
        )
