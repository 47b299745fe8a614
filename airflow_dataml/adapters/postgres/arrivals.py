"""What somebody who waits asks the ledger, as one query each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_dataml.core.arrivals import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.core.arrivals import Awaited

Answer = TypeVar("Answer")
PAGE = 100

# The versions that led to where the alias points, newest first: what was rolled back or published on
# a branch is not among them. The walk ends as soon as the caller's condition on ``w`` says so.
_LED_HERE = """
WITH RECURSIVE walk AS (
  SELECT v.version_id, v.parent_id, v.number, v.partition_key
  FROM dataml.asset a
  JOIN dataml.alias l ON l.asset_id = a.asset_id AND l.name = %s
  JOIN dataml.version v ON v.version_id = l.version_id
  WHERE a.name = %s
  UNION ALL
  SELECT p.version_id, p.parent_id, p.number, p.partition_key
  FROM walk w JOIN dataml.version p ON p.version_id = w.parent_id
  WHERE p.number > %s AND {further}
)
"""
_ALL = """
WITH walk AS (
  SELECT v.version_id, v.number, v.partition_key
  FROM dataml.asset a JOIN dataml.version v ON v.asset_id = a.asset_id
  WHERE a.name = %s AND v.number > %s
)
"""
# A version with its parent's very content, as compaction makes, has its parent's verdict until it gets one.
_FACTS = """
SELECT v.number, v.row_count AS rows, v.partition_key, v.fingerprint, v.created_at, r.verdict,
       extract(epoch FROM clock_timestamp() - v.created_at)::float8 AS age
FROM walk w
JOIN dataml.version v USING (version_id)
LEFT JOIN dataml.version p
  ON p.version_id = v.parent_id AND p.fingerprint = v.fingerprint AND p.schema_hash = v.schema_hash
LEFT JOIN LATERAL (
  SELECT r.verdict FROM dataml.report r
  WHERE r.kind = 'check'
    AND (r.version_id IN (v.version_id, p.version_id)
         OR r.part_id IN ((v.facts ->> 'part_id')::bigint, (p.facts ->> 'part_id')::bigint))
  ORDER BY r.report_id DESC LIMIT 1
) r ON true
WHERE (%s::text IS NULL OR w.partition_key = %s)
"""


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """A query, its values, and how its rows are read."""

    sql: str
    params: Sequence[Any]
    read: Callable[[list[dict[str, Any]]], Answer]


def newest(awaited: Awaited) -> Question[Arrival | None]:
    """Ask for the newest version of the batch, or of the dataset; whether it will do is judged by the caller.

    Costs one look at an index; for a batch that has not come, one for every version since ``newer_than``.
    """
    key, least = awaited.partition_key, awaited.newer_than or 0
    if awaited.alias is None:
        walk, bounds = _ALL, [awaited.asset, least]
    else:
        further = "%s::text IS NOT NULL AND w.partition_key IS DISTINCT FROM %s"
        walk, bounds = _LED_HERE.format(further=further), [awaited.alias, awaited.asset, least, key, key]
    return Question(
        f"{walk}{_FACTS} ORDER BY v.number DESC LIMIT 1",
        [*bounds, key, key],
        lambda rows: _arrival(awaited.asset, rows[0]) if rows else None,
    )


def following(awaited: Awaited, number: int) -> Question[list[Arrival]]:
    """Ask for a page of the versions after a number that will do, in the order they were made."""
    key, verdicts = awaited.partition_key, awaited.verdicts
    if awaited.alias is None:
        walk, bounds = _ALL, [awaited.asset, number]
    else:
        walk, bounds = _LED_HERE.format(further="true"), [awaited.alias, awaited.asset, number]
    return Question(
        f"{walk}{_FACTS} AND v.number > %s AND (%s::text[] IS NULL OR r.verdict = ANY (%s)) ORDER BY v.number LIMIT {PAGE}",
        [*bounds, key, key, number, verdicts, verdicts],
        lambda rows: [_arrival(awaited.asset, row) for row in rows],
    )


def highest(asset: str) -> Question[int]:
    """Ask for the highest number any version of an asset has; 0 before the first."""
    return Question(
        """SELECT coalesce(max(v.number), 0) AS number
           FROM dataml.asset a JOIN dataml.version v ON v.asset_id = a.asset_id WHERE a.name = %s""",
        [asset],
        lambda rows: int(rows[0]["number"]),
    )


def _arrival(asset: str, row: dict[str, Any]) -> Arrival:
    return Arrival(asset=asset, **row)
