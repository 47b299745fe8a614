"""Two assets that are one: what points at the one points at the other from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# Versions, reports and parts stay with the name they were written under: they are facts, and ``old@3``
# goes on meaning what it meant. Only what runs were seen to write to an asset nobody had declared goes over
# to one that others write, because what they write next comes after it. Edges between names move, and add
# up where both had one.
_STEPS = (
    "UPDATE dataml.asset_alias SET asset_id = %(winner)s WHERE asset_id = %(loser)s",
    """INSERT INTO dataml.asset_alias (namespace, name, asset_id, source)
       SELECT 'asset', name, %(winner)s, 'merged' FROM dataml.asset WHERE asset_id = %(loser)s
       ON CONFLICT (namespace, name) DO UPDATE SET asset_id = excluded.asset_id""",
    "UPDATE dataml.asset SET merged_into = %(winner)s WHERE merged_into = %(loser)s",
    """WITH moved AS (DELETE FROM dataml.asset_edge WHERE %(loser)s IN (src, dst) RETURNING *)
       INSERT INTO dataml.asset_edge AS e (src, dst, job_id, first_at, last_at, runs, declared, column_map, mapped_at)
       SELECT n.src, n.dst, job_id, min(first_at), max(last_at), sum(runs)::bigint, bool_or(declared),
              (array_agg(column_map ORDER BY mapped_at DESC NULLS LAST))[1], max(mapped_at) FROM moved, LATERAL (
         SELECT CASE src WHEN %(loser)s THEN %(winner)s ELSE src END AS src,
                CASE dst WHEN %(loser)s THEN %(winner)s ELSE dst END AS dst) n
       WHERE n.src <> n.dst OR moved.src = moved.dst GROUP BY n.src, n.dst, job_id
       ON CONFLICT (src, dst, job_id) DO UPDATE SET first_at = least(e.first_at, excluded.first_at),
         last_at = greatest(e.last_at, excluded.last_at), runs = e.runs + excluded.runs,
         declared = e.declared OR excluded.declared, mapped_at = greatest(e.mapped_at, excluded.mapped_at),
         column_map = CASE WHEN e.mapped_at >= excluded.mapped_at THEN e.column_map
                           ELSE coalesce(excluded.column_map, e.column_map) END""",
    """WITH moved AS (DELETE FROM dataml.column_edge WHERE %(loser)s IN (src, dst) RETURNING *)
       INSERT INTO dataml.column_edge AS e (src, src_column, dst, dst_column, job_id, kind, method, confidence, first_at, last_at)
       SELECT DISTINCT ON (n.src, src_column, n.dst, dst_column, job_id, kind)
              n.src, src_column, n.dst, dst_column, job_id, kind, method, confidence, first_at, last_at FROM moved, LATERAL (
         SELECT CASE src WHEN %(loser)s THEN %(winner)s ELSE src END AS src,
                CASE dst WHEN %(loser)s THEN %(winner)s ELSE dst END AS dst) n
       ORDER BY n.src, src_column, n.dst, dst_column, job_id, kind, last_at DESC
       ON CONFLICT (dst, dst_column, src, src_column, job_id, kind) DO UPDATE SET
         first_at = least(e.first_at, excluded.first_at), last_at = greatest(e.last_at, excluded.last_at)""",
    """WITH moved AS (DELETE FROM dataml.run_io WHERE asset_id = %(loser)s RETURNING *)
       INSERT INTO dataml.run_io (run_key, try_number, asset_id, direction, version_id, stats, seen_at, at, named)
       SELECT run_key, try_number, %(winner)s, direction, version_id, stats, seen_at, at, named FROM moved
       ON CONFLICT (run_key, try_number, asset_id, direction) DO NOTHING""",
    """WITH moved AS (DELETE FROM dataml.asset_column WHERE asset_id = %(loser)s RETURNING *)
       INSERT INTO dataml.asset_column (asset_id, name, description, tags, terms, said)
       SELECT %(winner)s, name, description, tags, terms, said FROM moved
       ON CONFLICT (asset_id, name) DO NOTHING""",
    """UPDATE dataml.version v SET asset_id = %(winner)s, number = m.last + m.place, fact_key = m.fact_key
       FROM (SELECT o.version_id, row_number() OVER (ORDER BY o.number) AS place,
                    coalesce((SELECT max(number) FROM dataml.version WHERE asset_id = %(winner)s), 0) AS last,
                    regexp_replace(o.fact_key, CASE o.origin WHEN 'found' THEN '^(found/)' ELSE '^(observed/.*/)' END
                                   || %(loser)s || '(?=/|$)', '\1' || %(winner)s) AS fact_key
             FROM dataml.version o JOIN dataml.asset l ON l.asset_id = o.asset_id
             JOIN dataml.asset w ON w.asset_id = %(winner)s
             WHERE o.asset_id = %(loser)s AND o.origin IN ('observed', 'found')
               AND l.source = 'observed' AND w.kind = 'external') m
       WHERE v.version_id = m.version_id
         AND NOT EXISTS (SELECT FROM dataml.version k WHERE k.fact_key = m.fact_key)""",
    # What only the other one knew is not lost; both are registered anew, whoever speaks next.
    """UPDATE dataml.asset a SET
         owner = coalesce(a.owner, l.owner), description = coalesce(a.description, l.description),
         documentation = coalesce(a.documentation, l.documentation), subtype = coalesce(a.subtype, l.subtype),
         domain = coalesce(a.domain, l.domain), asset_group = coalesce(a.asset_group, l.asset_group),
         freshness_s = coalesce(a.freshness_s, l.freshness_s), schema_hash = coalesce(a.schema_hash, l.schema_hash),
         tags = CASE a.tags WHEN '[]' THEN l.tags ELSE a.tags END,
         terms = CASE a.terms WHEN '[]' THEN l.terms ELSE a.terms END,
         crawl_scope = coalesce(a.crawl_scope, l.crawl_scope), last_write = greatest(a.last_write, l.last_write),
         first_seen = least(a.first_seen, l.first_seen), said = l.said || a.said, digests = '{}'
       FROM dataml.asset l WHERE a.asset_id = %(winner)s AND l.asset_id = %(loser)s""",
    """UPDATE dataml.asset SET
         search_text = dataml.search_text(description, documentation, owner, domain, schema_hash)
       WHERE asset_id = %(winner)s""",
    """UPDATE dataml.asset SET status = 'deleted', status_at = now(), merged_into = %(winner)s, crawl_scope = NULL
       WHERE asset_id = %(loser)s""",
)


def join_assets(connection: Connection, *, loser: int, winner: int) -> None:
    """Send everything that names one asset to another; the caller holds a transaction."""
    with connection.errors():
        connection.raw.execute(
            "SELECT 1 FROM dataml.asset WHERE asset_id IN (%s, %s) ORDER BY asset_id FOR NO KEY UPDATE",
            [loser, winner],
        )
        for statement in _STEPS:
            connection.raw.execute(statement, {"loser": loser, "winner": winner})
