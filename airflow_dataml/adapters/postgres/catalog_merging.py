"""SQL that lays what an entry says over what the catalog holds, field by field and by rank."""

from __future__ import annotations

# Whose owner, whose description ...: a field changes hands only to a word that weighs as much.
FIELDS = (
    "subtype", "owner", "description", "documentation", "importance", "tags", "terms", "domain", "asset_group",
    "freshness_s",
)  # fmt: skip
COLUMN_FIELDS = ("description", "tags", "terms")
_LISTS = ("tags", "terms")
# What a crawl found out about a table that others declared; the rest of a location is theirs.
_FOUND = ("definition", "primary_key", "row_estimate", "relation", "producer")

WANT_COLUMNS = {
    "ord": "int", "asset_id": "bigint", "name": "text", "kind": "text", "uri": "text", "subtype": "text",
    "owner": "text", "description": "text", "documentation": "text", "importance": "text", "tags": "jsonb",
    "terms": "jsonb", "domain": "text", "asset_group": "text", "freshness_s": "bigint", "location": "jsonb",
    "schema_hash": "text", "search_text": "text", "said": "jsonb", "digest": "text", "source": "text",
    "crawl_scope": "text",
}  # fmt: skip


def _takes(field: str, old: str, new: str) -> str:
    return f"({new}.{field} IS NOT NULL AND dataml.source_rank({new}.source) >= dataml.source_rank({old}.said ->> '{field}'))"


def _value(field: str, old: str, new: str) -> str:
    taken = f"{new}.{field}"
    if field in _LISTS:
        taken = f"dataml.with_added({taken}, {old}.said -> 'added' -> '{field}')"
    return f"CASE WHEN {_takes(field, old, new)} THEN {taken} ELSE {old}.{field} END"


def _said(fields: tuple[str, ...], old: str, new: str) -> str:
    # What a declaration no longer says stays, as something that was said once and may be said anew.
    pairs = ", ".join(
        f"'{field}', CASE WHEN {_takes(field, old, new)} THEN {new}.source"
        f" WHEN {new}.{field} IS NULL AND {old}.said ->> '{field}' = {new}.source"
        f" AND dataml.source_rank({new}.source) > 3 THEN 'described' END"
        for field in fields
    )
    return f"{old}.said || jsonb_strip_nulls(jsonb_build_object({pairs}))"


def _found() -> str:
    pairs = ", ".join(f"'{key}', w.location -> '{key}'" for key in _FOUND)
    return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"


_HIGHER = "dataml.source_rank(w.source) > dataml.source_rank(a.source)"
_SAME = "(w.source = a.source AND dataml.source_rank(w.source) < 4)"
_STRONG = "dataml.source_rank(w.source) >= dataml.source_rank(a.source)"
_SCHEMA = _takes("schema_hash", "a", "w").replace("->> 'schema_hash'", "->> 'columns'")

UPDATE = f"""
UPDATE dataml.asset a SET
  {", ".join(f"{field} = {_value(field, 'a', 'w')}" for field in FIELDS)},
  said = {_said(FIELDS, "a", "w")}
    || CASE WHEN {_SCHEMA} THEN jsonb_build_object('columns', w.source) ELSE '{{}}' END,
  kind = CASE WHEN {_HIGHER} OR {_SAME} THEN w.kind ELSE a.kind END,
  uri = CASE WHEN {_HIGHER} OR {_SAME} THEN w.uri ELSE a.uri END,
  source = CASE WHEN {_HIGHER} THEN w.source ELSE a.source END,
  location = CASE WHEN {_STRONG} THEN a.location || w.location ELSE w.location || a.location || {_found()} END,
  schema_hash = CASE WHEN {_SCHEMA} THEN w.schema_hash ELSE a.schema_hash END,
  crawl_scope = coalesce(w.crawl_scope, a.crawl_scope),
  digests = a.digests || jsonb_build_object(w.source, w.digest),
  status = CASE WHEN a.status = 'missing' OR dataml.source_rank(w.source) > 3 THEN 'active' ELSE a.status END,
  status_at = CASE WHEN a.status = 'missing' OR (a.status = 'deleted' AND dataml.source_rank(w.source) > 3)
                   THEN now() ELSE a.status_at END,
  last_seen = now()
FROM pg_temp.dataml_want w WHERE a.asset_id = w.asset_id
"""

# The schema a field's owner replaces, and the one it puts there; both, if the first was the only one so far.
SCHEMAS = f"""
WITH changed AS (
  SELECT a.asset_id, a.schema_hash AS old, w.schema_hash AS new, w.source, a.first_seen,
         coalesce(a.said ->> 'columns', a.source) AS by, coalesce(max(s.seq), 0) AS seq
  FROM pg_temp.dataml_want w JOIN dataml.asset a USING (asset_id) LEFT JOIN dataml.asset_schema s USING (asset_id)
  WHERE a.schema_hash <> w.schema_hash AND {_SCHEMA}
  GROUP BY a.asset_id, w.schema_hash, w.source
)
INSERT INTO dataml.asset_schema (asset_id, seq, schema_hash, source, seen_at)
SELECT asset_id, 1, old, by, first_seen FROM changed WHERE seq = 0
UNION ALL SELECT asset_id, greatest(seq, 1) + 1, new, source, clock_timestamp() FROM changed
"""

# Words are made anew only where a text or the schema changed hands.
SEARCH_TEXT = """
UPDATE dataml.asset a SET search_text = t.words
FROM pg_temp.dataml_want w, LATERAL (
  SELECT dataml.search_text(b.description, b.documentation, b.owner, b.domain, b.schema_hash) AS words
  FROM dataml.asset b WHERE b.asset_id = w.asset_id) t
WHERE a.asset_id = w.asset_id AND a.search_text IS DISTINCT FROM t.words
"""

_NEW = (
    "name", "kind", "uri", "subtype", "owner", "description", "documentation", "domain", "asset_group",
    "freshness_s", "location", "schema_hash", "search_text", "said", "source", "crawl_scope",
)  # fmt: skip
INSERT = f"""
INSERT INTO dataml.asset ({", ".join(_NEW)}, importance, tags, terms, digests)
SELECT {", ".join(_NEW)}, coalesce(importance, 'moderate'), coalesce(tags, '[]'), coalesce(terms, '[]'),
       jsonb_build_object(source, digest)
FROM pg_temp.dataml_want WHERE asset_id IS NULL ORDER BY name
ON CONFLICT (name) DO NOTHING
"""

DOCS = """
INSERT INTO dataml.asset_column AS c (asset_id, name, description, tags, terms, said)
SELECT w.asset_id, d.name, d.description, coalesce(d.tags, '[]'), coalesce(d.terms, '[]'),
       jsonb_strip_nulls(jsonb_build_object('description', CASE WHEN d.description IS NOT NULL THEN w.source END,
         'tags', CASE WHEN d.tags IS NOT NULL THEN w.source END, 'terms', CASE WHEN d.terms IS NOT NULL THEN w.source END))
FROM pg_temp.dataml_doc d JOIN pg_temp.dataml_want w USING (ord) ORDER BY w.asset_id, d.name
ON CONFLICT (asset_id, name) DO NOTHING
"""
MERGE_DOCS = f"""
UPDATE dataml.asset_column c SET
  {", ".join(f"{field} = {_value(field, 'c', 'n')}" for field in COLUMN_FIELDS)}, said = {_said(COLUMN_FIELDS, "c", "n")}
FROM (SELECT w.asset_id, w.source, d.* FROM pg_temp.dataml_doc d JOIN pg_temp.dataml_want w USING (ord)) n
WHERE c.asset_id = n.asset_id AND c.name = n.name
"""
