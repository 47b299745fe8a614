"""What people read of approvals: who was asked about what, what they answered, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.adapters.postgres.evidence import PostgresAudit
from airflow_dataml.core.approvals import ENDED, REQUESTED, approvals_in, now_utc, subject_of

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.approvals import Approval

TAMPERED = "tampered with"
_REQUESTS = """
SELECT r.seq, r.subject, r.detail ->> 'key' AS key FROM dataml.audit r
WHERE r.action = %s AND (%s::bigint IS NULL OR r.seq < %s) AND (%s::text IS NULL OR r.subject = %s)
  AND (%s::text IS NULL OR r.detail -> 'release' -> 'entries' @> jsonb_build_array(jsonb_build_object('asset', %s::text)))
  AND (NOT %s OR NOT EXISTS (SELECT 1 FROM dataml.audit e WHERE e.subject COLLATE "C" = r.subject AND e.action = %s
                             AND e.detail ->> 'request' = r.detail ->> 'key' AND e.seq > r.seq))
ORDER BY r.seq DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """An approval, with the number of the entry that asked for it.

    :param intact: whether its entries are what was hashed when they were written.
    """

    seq: int
    approval: Approval
    intact: bool

    @property
    def state(self) -> str:
        """How it stands; of entries that somebody changed, that alone."""
        return self.approval.standing(now=now_utc()) if self.intact else TAMPERED


class ApprovalReading:
    """Pages of approvals.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def approvals(
        self,
        *,
        asset: str | None = None,
        release_hash: str | None = None,
        waiting: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> list[ApprovalRow]:
        """Return a page of approvals, newest first.

        :param waiting: only those without an end.
        :param before: only those asked for before this entry of the audit chain.
        """
        subject = subject_of(release_hash) if release_hash else None
        asked = [REQUESTED, before, before, subject, subject, asset, asset, waiting, ENDED, limit]
        rows = self._db.rows(_REQUESTS, asked)
        found: dict[tuple[str, str], tuple[Approval, bool]] = {}
        audit = PostgresAudit(self._db)
        for release in dict.fromkeys(row["subject"] for row in rows):
            entries = audit.entries(release)
            intact = all(entry.intact for entry in entries)
            found |= {(release, one.request.key): (one, intact) for one in approvals_in(entries)}
        return [ApprovalRow(row["seq"], *found[row["subject"], row["key"]]) for row in rows]
