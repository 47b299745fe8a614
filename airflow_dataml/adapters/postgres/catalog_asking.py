"""SQL of a registration before and after entries are laid over the catalog: what is known, and under which name."""

from __future__ import annotations

from airflow_dataml.adapters.postgres import catalog_merging as sql

# An asset that is seen all the time is not written all the time.
SEEN_AGAIN = "1 hour"
TABLES = (
    """CREATE TEMP TABLE IF NOT EXISTS dataml_have (ord int, name text, source text, digest text)
       ON COMMIT DELETE ROWS""",
    f"""CREATE TEMP TABLE IF NOT EXISTS dataml_want ({", ".join(f"{n} {t}" for n, t in sql.WANT_COLUMNS.items())})
       ON COMMIT DELETE ROWS""",
    """CREATE TEMP TABLE IF NOT EXISTS dataml_want_alias (ord int, namespace text, name text) ON COMMIT DELETE ROWS""",
    """CREATE TEMP TABLE IF NOT EXISTS dataml_doc (ord int, name text, description text, tags jsonb, terms jsonb)
       ON COMMIT DELETE ROWS""",
    """CREATE TEMP TABLE IF NOT EXISTS dataml_blob (schema_hash text, columns jsonb) ON COMMIT DELETE ROWS""",
    """CREATE TEMP TABLE IF NOT EXISTS dataml_word (word text, near text[]) ON COMMIT DELETE ROWS""",
)
# An entry says nothing new when its source said the same last time, and the asset still stands. Only the
# others are told of, and those of whose asset something else is said too.
ASK = f"""
WITH asked AS MATERIALIZED (
  SELECT h.ord, a.asset_id, a.crawl_scope IS NULL AND a.last_seen < now() - interval '{SEEN_AGAIN}' AS unseen,
         coalesce(a.digests ->> h.source, '') = h.digest
           AND (a.status = 'active' OR (a.status = 'deleted' AND dataml.source_rank(h.source) < 4)) AS known
  FROM {{have}} h
  LEFT JOIN dataml.asset n ON n.name = h.name
  LEFT JOIN dataml.asset_alias l ON l.namespace = 'asset' AND l.name = h.name AND (n.asset_id IS NULL OR n.merged_into IS NOT NULL)
  LEFT JOIN dataml.asset a ON a.asset_id = coalesce(n.merged_into, n.asset_id, l.asset_id)
), seen AS (
  UPDATE dataml.asset a SET last_seen = now() FROM asked k WHERE k.known AND k.unseen AND a.asset_id = k.asset_id)
SELECT ord, asset_id FROM asked WHERE NOT known OR asset_id IN (SELECT asset_id FROM asked WHERE NOT known)
"""
BY_NAME = """
UPDATE pg_temp.dataml_want w SET asset_id = f.asset_id FROM (
  SELECT v.ord, coalesce(n.merged_into, n.asset_id, l.asset_id) AS asset_id FROM pg_temp.dataml_want v
  LEFT JOIN dataml.asset n ON n.name = v.name LEFT JOIN dataml.asset_alias l ON l.namespace = 'asset' AND l.name = v.name) f
WHERE w.ord = f.ord AND w.asset_id IS NULL
"""
# By its other names; what is declared keeps its own row beside what somebody else declared.
BY_ALIAS = """
UPDATE pg_temp.dataml_want w SET asset_id = f.asset_id
FROM (SELECT n.ord, min(l.asset_id) AS asset_id
      FROM pg_temp.dataml_want_alias n LEFT JOIN dataml.namespace_alias c ON c.namespace = n.namespace
      JOIN dataml.asset_alias l ON l.namespace IN (n.namespace, c.canonical) AND l.name = n.name GROUP BY n.ord) f
JOIN dataml.asset a ON a.asset_id = f.asset_id
WHERE w.ord = f.ord AND w.asset_id IS NULL
  AND (dataml.source_rank(w.source) < 4 OR dataml.source_rank(a.source) < 4)
"""
LOCK = """
SELECT a.asset_id FROM dataml.asset a WHERE a.asset_id IN (SELECT asset_id FROM pg_temp.dataml_want)
ORDER BY a.asset_id FOR NO KEY UPDATE
"""
# A stub takes the name it is declared by, and keeps its edges.
RENAME = """
WITH named AS (
  SELECT DISTINCT ON (w.asset_id) w.asset_id, w.name, a.name AS old FROM pg_temp.dataml_want w JOIN dataml.asset a USING (asset_id)
  WHERE w.name <> a.name AND dataml.source_rank(w.source) > 3 AND dataml.source_rank(a.source) < 4
    AND NOT EXISTS (SELECT FROM dataml.asset o WHERE o.name = w.name) ORDER BY w.asset_id, w.ord
), renamed AS (
  UPDATE dataml.asset a SET name = n.name FROM named n WHERE a.asset_id = n.asset_id RETURNING a.asset_id)
INSERT INTO dataml.asset_alias (namespace, name, asset_id, source)
SELECT 'asset', n.old, n.asset_id, 'renamed' FROM named n JOIN renamed USING (asset_id) ORDER BY n.old
ON CONFLICT (namespace, name) DO NOTHING
"""
OTHER_KIND = """
SELECT a.name, a.kind, w.kind AS wanted FROM pg_temp.dataml_want w JOIN dataml.asset a USING (asset_id)
WHERE w.kind <> a.kind AND dataml.source_rank(w.source) > 3 AND dataml.source_rank(a.source) > 3 ORDER BY w.ord LIMIT 1
"""
WORDS = """
INSERT INTO dataml.asset_word (word, near)
SELECT w.word, w.near FROM pg_temp.dataml_word w
WHERE NOT EXISTS (SELECT FROM dataml.asset_word k WHERE k.word = w.word)
"""
IDS_OF_NEW = """
UPDATE pg_temp.dataml_want w SET asset_id = a.asset_id FROM dataml.asset a WHERE w.asset_id IS NULL AND a.name = w.name
"""
ALIASES = """
INSERT INTO dataml.asset_alias (namespace, name, asset_id, source)
SELECT DISTINCT ON (coalesce(c.canonical, n.namespace), n.name) coalesce(c.canonical, n.namespace), n.name, w.asset_id, w.source
FROM (SELECT ord, namespace, name FROM pg_temp.dataml_want_alias
      UNION ALL SELECT w.ord, 'asset', w.name FROM pg_temp.dataml_want w JOIN dataml.asset a USING (asset_id) WHERE a.name <> w.name) n
JOIN pg_temp.dataml_want w USING (ord) LEFT JOIN dataml.namespace_alias c ON c.namespace = n.namespace
ORDER BY 1, 2, w.ord
ON CONFLICT (namespace, name) DO NOTHING
"""
# An alias that a stub holds and a declaration claims: they are one asset.
TWINS = """
SELECT DISTINCT s.asset_id AS stub, w.asset_id AS asset FROM pg_temp.dataml_want_alias n JOIN pg_temp.dataml_want w USING (ord)
LEFT JOIN dataml.namespace_alias c ON c.namespace = n.namespace
JOIN dataml.asset_alias l ON l.namespace IN (n.namespace, c.canonical) AND l.name = n.name JOIN dataml.asset s ON s.asset_id = l.asset_id
WHERE l.asset_id <> w.asset_id AND dataml.source_rank(w.source) > 3 AND dataml.source_rank(s.source) < 3
  AND s.merged_into IS NULL AND NOT EXISTS (SELECT FROM dataml.alias v WHERE v.asset_id = s.asset_id)
ORDER BY 1
"""
