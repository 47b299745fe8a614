"""The queries of ``reading_lineage``: one per graph, the graph of versions and the one of assets by name."""

from __future__ import annotations

# What a node has each way is counted so far: a reader is told "99 and more".
_SEEN = 100
# Of a hub only so many edges are looked at; the newest among them are shown.
_LOOKED_AT = 2000

# The next level of a walk: neighbours of each node, the newest first.
STEP = {
    "version": f"""
SELECT e.far, e.place FROM unnest(%s::bigint[]) WITH ORDINALITY f(n, turn)
CROSS JOIN LATERAL (
  SELECT far, row_number() OVER (ORDER BY far < 0, newest DESC) AS place FROM (
    SELECT far, max(edge_id) AS newest FROM (
      SELECT e.{{far}}_id AS far, e.edge_id FROM dataml.edge e
      WHERE e.{{near}}_id = f.n AND (%s::timestamptz IS NULL OR e.created_at <= %s) LIMIT {_LOOKED_AT}) looked
    GROUP BY far) each_once ORDER BY place LIMIT %s) e
ORDER BY f.turn, e.place LIMIT %s
""",
    "asset": f"""
SELECT e.far, e.place FROM unnest(%s::bigint[]) WITH ORDINALITY f(n, turn)
CROSS JOIN LATERAL (
  SELECT far, row_number() OVER (ORDER BY newest DESC, far) AS place FROM (
    SELECT far, max(last_at) AS newest FROM (
      SELECT e.{{far}} AS far, e.last_at FROM dataml.asset_edge e
      WHERE e.{{near}} = f.n AND e.src <> e.dst AND (%s::timestamptz IS NULL OR e.first_at <= %s)
      LIMIT {_LOOKED_AT}) looked
    GROUP BY far) each_once ORDER BY place LIMIT %s) e
ORDER BY f.turn, e.place LIMIT %s
""",
}
ALL = {
    "version": """SELECT DISTINCT e.dst_id AS far FROM dataml.edge e
                  WHERE e.src_id = ANY (%s::bigint[]) AND (%s::timestamptz IS NULL OR e.created_at <= %s) LIMIT %s""",
    "asset": """SELECT DISTINCT e.dst AS far FROM dataml.asset_edge e
                WHERE e.src = ANY (%s::bigint[]) AND (%s::timestamptz IS NULL OR e.first_at <= %s) LIMIT %s""",
}
EDGES = {
    "version": """
SELECT e.src_id AS src, e.dst_id AS dst, e.kind, e.created_at AS at, NULL::timestamptz AS last_at, NULL::bigint AS runs,
       array_remove(ARRAY[coalesce(j.name, nullif(concat_ws('.', nullif(r.dag_id, ''), r.task_id), ''))], NULL) AS jobs,
       e.column_map IS NOT NULL AS mapped
FROM dataml.edge e JOIN dataml.run r USING (run_key) LEFT JOIN dataml.job j USING (job_id)
WHERE e.src_id = ANY (%s::bigint[]) AND e.dst_id = ANY (%s::bigint[])
  AND (%s::timestamptz IS NULL OR e.created_at <= %s)
ORDER BY e.edge_id LIMIT %s
""",
    "asset": """
SELECT e.src, e.dst, 'flow' AS kind, min(e.first_at) AS at, max(e.last_at) AS last_at, sum(e.runs)::bigint AS runs,
       (array_agg(DISTINCT j.name))[1:20] AS jobs, bool_or(e.column_map IS NOT NULL) AS mapped
FROM dataml.asset_edge e JOIN dataml.job j USING (job_id)
WHERE e.src = ANY (%s::bigint[]) AND e.dst = ANY (%s::bigint[]) AND e.src <> e.dst
  AND (%s::timestamptz IS NULL OR e.first_at <= %s)
GROUP BY e.src, e.dst ORDER BY e.src, e.dst LIMIT %s
""",
}
_DEGREES = f"""
  (SELECT count(*) FROM (SELECT FROM dataml.edge e WHERE e.dst_id = {{id}} AND (%s::timestamptz IS NULL OR e.created_at <= %s)
                         LIMIT {_SEEN}) x) AS ups,
  (SELECT count(*) FROM (SELECT FROM dataml.edge e WHERE e.src_id = {{id}} AND (%s::timestamptz IS NULL OR e.created_at <= %s)
                         LIMIT {_SEEN}) x) AS downs
"""
_OF_ASSET = """
  a.asset_id, a.name AS asset, a.subtype, a.status, a.owner, a.source, a.last_write, a.freshness_s,
  CASE WHEN a.freshness_s IS NOT NULL
    THEN coalesce(a.last_write, a.first_seen) < now() - a.freshness_s * interval '1 second' END AS stale,
  (SELECT count(*) FROM dataml.incident i WHERE i.asset_id = a.asset_id AND i.state <> 'resolved') AS incidents
"""
_RUN = "r.dag_id, r.run_id, r.task_id, r.map_index, j.name AS job"
VERSIONS = f"""
SELECT 'version:' || v.version_id AS node, a.kind, {_OF_ASSET}, v.number, v.origin, v.row_count AS rows,
  v.partition_key, v.created_at AS at, {_RUN}, NULL AS title,
  (SELECT p.verdict FROM dataml.report p
   WHERE p.kind = ANY ('{{check,evaluation,monitor}}')
     AND (p.version_id = v.version_id OR p.part_id = (v.facts ->> 'part_id')::bigint)
   ORDER BY p.report_id DESC LIMIT 1) AS verdict,
  coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l
            WHERE l.asset_id = a.asset_id AND l.version_id = v.version_id), '{{}}') AS aliases,
  {_DEGREES.format(id="v.version_id")}
FROM dataml.version v JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)
LEFT JOIN dataml.job j USING (job_id)
WHERE v.version_id = ANY (%s::bigint[])
"""
REPORTS = f"""
SELECT 'report:' || p.report_id AS node, 'report' AS kind, {_OF_ASSET}, NULL::int AS number, NULL AS origin,
  NULL::bigint AS rows, p.body ->> 'partition_key' AS partition_key, p.created_at AS at, {_RUN},
  p.kind || ' report ' || p.report_id AS title, p.verdict, '{{}}'::text[] AS aliases,
  {_DEGREES.format(id="-p.report_id")}
FROM dataml.report p JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)
LEFT JOIN dataml.job j USING (job_id)
WHERE p.report_id = ANY (%s::bigint[])
"""
_ASSET_DEGREE = f"""(SELECT count(DISTINCT far) FROM (
   SELECT e.{{far}} AS far FROM dataml.asset_edge e
   WHERE e.{{near}} = a.asset_id AND e.src <> e.dst AND (%s::timestamptz IS NULL OR e.first_at <= %s)
   LIMIT {_SEEN}) x)"""
ASSETS = f"""
SELECT 'asset:' || a.asset_id AS node, a.kind, {_OF_ASSET}, v.number, v.origin, v.row_count AS rows,
  v.partition_key, coalesce(a.last_write, v.created_at) AS at, {_RUN}, NULL AS title,
  coalesce((SELECT verdict FROM dataml.asset_verdict c WHERE c.asset_id = a.asset_id),
           (SELECT p.verdict FROM dataml.report p WHERE p.asset_id = a.asset_id AND p.kind = 'evaluation'
            ORDER BY p.report_id DESC LIMIT 1)) AS verdict,
  coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l
            WHERE l.asset_id = a.asset_id AND l.version_id = v.version_id), '{{}}') AS aliases,
  {_ASSET_DEGREE.format(near="dst", far="src")} AS ups, {_ASSET_DEGREE.format(near="src", far="dst")} AS downs
FROM dataml.asset a
LEFT JOIN LATERAL (SELECT * FROM dataml.version v WHERE v.asset_id = a.asset_id ORDER BY v.number DESC LIMIT 1) v ON true
LEFT JOIN dataml.run r USING (run_key) LEFT JOIN dataml.job j USING (job_id)
WHERE a.asset_id = ANY (%s::bigint[])
"""
KINDS = {
    "version": """SELECT a.kind, count(DISTINCT a.asset_id) AS assets, count(*) AS versions
                  FROM dataml.version v JOIN dataml.asset a USING (asset_id) WHERE v.version_id = ANY (%s)
                  GROUP BY a.kind ORDER BY a.kind""",
    "asset": """SELECT a.kind, count(*) AS assets, NULL::bigint AS versions
                FROM dataml.asset a WHERE a.asset_id = ANY (%s) GROUP BY a.kind ORDER BY a.kind""",
}
_MODELS = """
SELECT a.name, a.owner, min(f.steps) AS steps, count(v.version_id) AS versions, max(v.number) AS number
FROM unnest(%s::bigint[], %s::int[]) f(n, steps) {join}
WHERE a.kind = 'model' GROUP BY a.asset_id ORDER BY min(f.steps), a.name LIMIT %s
"""
_OWNERS = """
SELECT a.owner, count(*) AS assets FROM dataml.asset a
WHERE a.owner IS NOT NULL AND a.asset_id IN ({ids}) GROUP BY a.owner ORDER BY count(*) DESC, a.owner LIMIT %s
"""
# Of a model the newest version that is reached; by name, the newest there is.
MODELS = {
    "version": _MODELS.format(
        join="JOIN dataml.version v ON v.version_id = f.n JOIN dataml.asset a USING (asset_id)"
    ),
    "asset": _MODELS.format(
        join="JOIN dataml.asset a ON a.asset_id = f.n LEFT JOIN dataml.version v USING (asset_id)"
    ),
}
OWNERS = {
    "version": _OWNERS.format(
        ids="SELECT asset_id FROM dataml.version WHERE version_id = ANY (%s::bigint[])"
    ),
    "asset": _OWNERS.format(ids="SELECT unnest(%s::bigint[])"),
}
EXISTS = {
    "asset": "SELECT true FROM dataml.asset WHERE asset_id = %s",
    "version": "SELECT true FROM dataml.version WHERE version_id = %s",
    "report": "SELECT true FROM dataml.report WHERE report_id = %s",
}
# A number is never an alias. Where nothing is asked for, what everybody reads comes before what is newest.
VERSION = """
SELECT v.version_id FROM dataml.version v LEFT JOIN dataml.alias l USING (asset_id, version_id)
WHERE v.asset_id = %s AND (%s::text IS NULL OR l.name = %s OR v.number = %s)
ORDER BY %s::text IS NULL AND l.name IN ('current', 'champion') IS TRUE DESC, v.number DESC LIMIT 1
"""
