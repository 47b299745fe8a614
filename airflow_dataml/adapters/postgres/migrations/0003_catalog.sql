-- The catalog of everything, lineage events kept until delivered, and a graph that covers tasks that never heard of us.

-- What an asset is besides its kind: table, view, file, topic, feature_set, registered_model ...
ALTER TABLE dataml.asset
  ADD COLUMN subtype       text,
  ADD COLUMN status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'missing', 'deleted')),
  ADD COLUMN status_at     timestamptz,
  -- Whoever asks for a merged asset is sent on.
  ADD COLUMN merged_into   bigint REFERENCES dataml.asset,
  ADD COLUMN asset_group   text,
  ADD COLUMN domain        text,
  ADD COLUMN documentation text,
  ADD COLUMN terms         jsonb NOT NULL DEFAULT '[]',
  -- The promise: seconds between two writes.
  ADD COLUMN freshness_s   bigint CHECK (freshness_s > 0),
  ADD COLUMN schema_hash   text REFERENCES dataml.schema_blob,
  ADD COLUMN last_write    timestamptz,
  -- Per source, the digest of its last registration: equal means that there is nothing to do.
  ADD COLUMN digests       jsonb NOT NULL DEFAULT '{}',
  -- Per field, the source whose word stands there.
  ADD COLUMN said          jsonb NOT NULL DEFAULT '{}',
  -- What it shall be found by besides its name, as words in lower case with single spaces between them.
  ADD COLUMN search_text   text NOT NULL DEFAULT '',
  ADD COLUMN crawl_scope   text,
  ADD COLUMN crawl_id      bigint;
-- What was there before may have been said by a declaration; it stands as one.
UPDATE dataml.asset SET said = jsonb_strip_nulls(jsonb_build_object(
  'owner', CASE WHEN owner IS NOT NULL THEN source END,
  'description', CASE WHEN description IS NOT NULL THEN source END,
  'importance', CASE WHEN importance <> 'moderate' THEN source END,
  'tags', CASE WHEN tags <> '[]' THEN source END));

-- How much the word of a source weighs; nobody's least.
CREATE FUNCTION dataml.source_rank(source text) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE source WHEN 'observed' THEN 0 WHEN 'crawled' THEN 1 WHEN 'imported' THEN 2 WHEN 'described' THEN 3
    WHEN 'declared' THEN 4 WHEN 'adopted' THEN 4 ELSE -1 END
$$;

-- A text as the words it is found by: in lower case, parts of joinedWords too.
CREATE FUNCTION dataml.search_words(said text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT btrim(regexp_replace(lower(translate(
    said || ' ' || regexp_replace(said, '([a-z0-9])([A-Z])', '\1 \2', 'g'),
    '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')), '\s+|\S{101,}', ' ', 'g'))
$$;
CREATE FUNCTION dataml.search_text(description text, documentation text, owner text, domain text, schema_hash text)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT dataml.search_words(concat_ws(' ', description, left(documentation, 10000), owner, domain,
    (SELECT string_agg(c ->> 0, ' ') FROM dataml.schema_blob b, jsonb_array_elements(b.columns) c
     WHERE b.schema_hash = search_text.schema_hash)))
$$;
UPDATE dataml.asset SET search_text = dataml.search_text(description, documentation, owner, domain, schema_hash);
-- What a list says and what people added to it.
CREATE FUNCTION dataml.with_added(list jsonb, added jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN added IS NULL OR list @> added THEN list
    ELSE list || (SELECT jsonb_agg(v) FROM jsonb_array_elements(added) v WHERE NOT list @> jsonb_build_array(v)) END
$$;

-- Everything that is searched and filtered by, in one index: words as they are, words of the name again
-- behind a colon, and what is filtered by behind an equals sign, which no word holds. Built from arrays:
-- the parser of PostgreSQL takes a hundred microseconds for the same.
ALTER TABLE dataml.asset ADD COLUMN tsv tsvector GENERATED ALWAYS AS (
  array_to_tsvector(array_remove(
    string_to_array(lower(translate(left(name, 500), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')), ' ')
    || string_to_array(':' || replace(lower(translate(left(name, 500), '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')), ' ', ' :'), ' ')
    || string_to_array(search_text, ' ')
    || ARRAY[
       '=kind=' || kind, '=status=' || status, '=importance=' || importance,
       '=subtype=' || coalesce(left(subtype, 200), ''), '=owner=' || coalesce(left(owner, 200), ''),
       '=domain=' || coalesce(left(domain, 200), ''), '=group=' || coalesce(left(asset_group, 200), ''),
       '=producer=' || coalesce(left(location ->> 'producer', 400), '')]
    || string_to_array('=tag=' || replace(
       substr(tags::text, 3, greatest(length(tags::text) - 4, 0)), '", "', E'\x1f=tag='), E'\x1f')
    || string_to_array('=term=' || replace(
       substr(terms::text, 3, greatest(length(terms::text) - 4, 0)), '", "', E'\x1f=term='), E'\x1f'),
    ''))
) STORED;
CREATE INDEX asset_tsv ON dataml.asset USING gin (tsv);
CREATE INDEX asset_lower_name ON dataml.asset (lower(name) text_pattern_ops);
CREATE INDEX asset_uri ON dataml.asset (uri);
CREATE INDEX asset_table ON dataml.asset ((location ->> 'table'))
  WHERE location ? 'table' AND NOT location ? 'conn_id';
CREATE INDEX asset_promise ON dataml.asset (asset_id) WHERE freshness_s IS NOT NULL;
CREATE INDEX asset_crawl_scope ON dataml.asset (crawl_scope) WHERE crawl_scope IS NOT NULL;
-- Room beside every row, so that seeing it again touches no index.
ALTER TABLE dataml.asset SET (fillfactor = 85);

-- Every word there is: what is typed is completed and mended here. A word written by two at once is there
-- twice; waiting for each other would be worse.
CREATE TABLE dataml.asset_word (
  word text NOT NULL,
  -- Its beginning without each of its letters: two words that share one of these are a slip apart.
  near text[] NOT NULL
);
CREATE INDEX asset_word_word ON dataml.asset_word (word text_pattern_ops);
CREATE INDEX asset_word_near ON dataml.asset_word USING gin (near);

CREATE FUNCTION dataml.word_near(word text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(word) < 4 OR word ~ '[0-9]' THEN '{}'
    ELSE (SELECT array_agg(DISTINCT left(left(word, 7), i - 1) || substr(left(word, 7), i + 1))
          FROM generate_series(1, least(length(word), 7) + 1) i) END
$$;

CREATE FUNCTION dataml.asset_words_new() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dataml.asset_word (word, near)
  SELECT w, dataml.word_near(w) FROM (
    SELECT DISTINCT w FROM added, unnest(tsvector_to_array(tsv)) w WHERE w !~ '^([=:]|[0-9]+$)') words
  WHERE NOT EXISTS (SELECT FROM dataml.asset_word k WHERE k.word = w);
  RETURN NULL;
END $$;
-- Whoever registers many brings their words, which is several times as fast.
CREATE TRIGGER asset_words_new AFTER INSERT ON dataml.asset REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT WHEN (current_setting('dataml.words', true) IS DISTINCT FROM 'sent')
  EXECUTE FUNCTION dataml.asset_words_new();

CREATE FUNCTION dataml.asset_words_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dataml.asset_word (word, near)
  SELECT w, dataml.word_near(w) FROM unnest(tsvector_to_array(NEW.tsv)) w
  WHERE w !~ '^([=:]|[0-9]+$)' AND NOT EXISTS (SELECT FROM dataml.asset_word k WHERE k.word = w);
  RETURN NULL;
END $$;
CREATE TRIGGER asset_words_changed AFTER UPDATE OF name, search_text
  ON dataml.asset FOR EACH ROW WHEN (OLD.tsv IS DISTINCT FROM NEW.tsv)
  EXECUTE FUNCTION dataml.asset_words_changed();
INSERT INTO dataml.asset_word (word, near)
SELECT w, dataml.word_near(w) FROM (
  SELECT DISTINCT w FROM dataml.asset, unnest(tsvector_to_array(tsv)) w WHERE w !~ '^([=:]|[0-9]+$)') words;

-- Every other name of an asset: OpenLineage namespace and name, uris, symlinks, names before a merge.
CREATE TABLE dataml.asset_alias (
  namespace  text NOT NULL,
  name       text NOT NULL,
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  source     text NOT NULL DEFAULT 'declared',
  first_seen timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (namespace, name)
);
CREATE INDEX ON dataml.asset_alias (asset_id);

-- One server under several addresses.
CREATE TABLE dataml.namespace_alias (
  namespace text PRIMARY KEY,
  canonical text NOT NULL
);

-- What people say of single columns; the columns themselves are in schema_blob.
CREATE TABLE dataml.asset_column (
  -- Of an asset, which is never deleted: checking that for every column would cost more than writing it.
  asset_id    bigint NOT NULL,
  name        text NOT NULL,
  description text,
  tags        jsonb NOT NULL DEFAULT '[]',
  terms       jsonb NOT NULL DEFAULT '[]',
  said        jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (asset_id, name)
);

-- Schemas an asset had and has, once it has had two; before that its own is the only one.
CREATE TABLE dataml.asset_schema (
  asset_id    bigint NOT NULL REFERENCES dataml.asset,
  seq         int NOT NULL,
  schema_hash text NOT NULL REFERENCES dataml.schema_blob,
  source      text NOT NULL,
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (asset_id, seq)
);

-- The newest verdict of the checks of an asset, so that the failing ones are found without reading reports.
CREATE TABLE dataml.asset_verdict (
  asset_id  bigint PRIMARY KEY REFERENCES dataml.asset,
  verdict   text NOT NULL,
  report_id bigint NOT NULL REFERENCES dataml.report,
  at        timestamptz NOT NULL
);
CREATE INDEX asset_verdict_failing ON dataml.asset_verdict (asset_id) WHERE verdict IN ('fail', 'error');
CREATE FUNCTION dataml.note_verdict() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dataml.asset_verdict AS a (asset_id, verdict, report_id, at)
  VALUES (NEW.asset_id, NEW.verdict, NEW.report_id, NEW.created_at)
  ON CONFLICT (asset_id) DO UPDATE
    SET verdict = excluded.verdict, report_id = excluded.report_id, at = excluded.at
    WHERE a.report_id < excluded.report_id;
  RETURN NULL;
END $$;
CREATE TRIGGER note_verdict AFTER INSERT ON dataml.report
  FOR EACH ROW WHEN (NEW.kind = 'check') EXECUTE FUNCTION dataml.note_verdict();
INSERT INTO dataml.asset_verdict (asset_id, verdict, report_id, at)
SELECT DISTINCT ON (asset_id) asset_id, verdict, report_id, created_at FROM dataml.report
WHERE kind = 'check' ORDER BY asset_id, report_id DESC;

-- Whose schema an asset has from now on, with the one before it kept; the names of columns are found.
CREATE FUNCTION dataml.set_schema(of_asset bigint, new_hash text, by_source text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dataml.asset_schema (asset_id, seq, schema_hash, source, seen_at)
  SELECT a.asset_id, 1, a.schema_hash, coalesce(a.said ->> 'columns', a.source), a.first_seen
  FROM dataml.asset a WHERE a.asset_id = of_asset AND a.schema_hash <> new_hash
    AND NOT EXISTS (SELECT FROM dataml.asset_schema s WHERE s.asset_id = of_asset);
  INSERT INTO dataml.asset_schema (asset_id, seq, schema_hash, source)
  SELECT of_asset, max(s.seq) + 1, new_hash, by_source FROM dataml.asset_schema s
  WHERE s.asset_id = of_asset HAVING max(s.seq) IS NOT NULL AND NOT EXISTS (
    SELECT FROM dataml.asset a WHERE a.asset_id = of_asset AND a.schema_hash = new_hash);
  UPDATE dataml.asset SET schema_hash = new_hash, said = said || jsonb_build_object('columns', by_source),
    search_text = dataml.search_text(description, documentation, owner, domain, new_hash)
  WHERE asset_id = of_asset AND schema_hash IS DISTINCT FROM new_hash;
END $$;

-- When an asset was last written, and its schema then: by whoever moved what its readers see ...
CREATE FUNCTION dataml.note_current() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE v dataml.version%ROWTYPE;
BEGIN
  SELECT * INTO v FROM dataml.version WHERE version_id = NEW.version_id;
  UPDATE dataml.asset SET last_write = v.created_at
  WHERE asset_id = NEW.asset_id AND (last_write IS NULL OR last_write < v.created_at);
  IF v.schema_hash IS NOT NULL THEN
    PERFORM dataml.set_schema(NEW.asset_id, v.schema_hash, 'declared');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER note_current AFTER INSERT OR UPDATE ON dataml.alias
  FOR EACH ROW WHEN (NEW.name IN ('current', 'champion')) EXECUTE FUNCTION dataml.note_current();
UPDATE dataml.asset a SET last_write = v.created_at, schema_hash = v.schema_hash,
  said = said || CASE WHEN v.schema_hash IS NULL THEN '{}' ELSE '{"columns": "declared"}'::jsonb END,
  search_text = dataml.search_text(description, documentation, owner, domain, v.schema_hash)
FROM dataml.alias l JOIN dataml.version v USING (version_id)
WHERE l.asset_id = a.asset_id AND l.name IN ('current', 'champion');

-- A crawl marks as missing only what its scope held before, and only when it finished.
CREATE TABLE dataml.crawl (
  crawl_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope       text NOT NULL,
  state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'abandoned')),
  run_key     bigint REFERENCES dataml.run,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  counts      jsonb NOT NULL DEFAULT '{}'
);

-- Whom an incident was given to.
ALTER TABLE dataml.incident ADD COLUMN assignee text;

-- Who writes and reads: an OpenLineage job, which for a task of Airflow is dag.task.
CREATE TABLE dataml.job (
  job_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  namespace   text NOT NULL,
  name        text NOT NULL,
  integration text,
  dag_id      text,
  task_id     text,
  facets      jsonb NOT NULL DEFAULT '{}',
  first_seen  timestamptz NOT NULL DEFAULT now(),
  last_seen   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (namespace, name)
);
CREATE INDEX job_task ON dataml.job (dag_id, task_id) WHERE dag_id IS NOT NULL;

-- A run is one task instance. What lineage says of it stands beside what our operators wrote; a run of
-- another system is its namespace, run id and job. OpenLineage run ids of Airflow may collide and are no key.
ALTER TABLE dataml.run
  ADD COLUMN source     text NOT NULL DEFAULT 'operator' CHECK (source IN ('operator', 'lineage')),
  -- How often an operator of ours began it; a run that only lineage knows never did.
  ADD COLUMN begun      int NOT NULL DEFAULT 1,
  ADD COLUMN job_id     bigint REFERENCES dataml.job,
  ADD COLUMN parent_key bigint REFERENCES dataml.run,
  ADD COLUMN ol_run_id  text,
  ADD COLUMN ol_state   text,
  ADD COLUMN ol_try     int,
  ADD COLUMN ol_started timestamptz,
  ADD COLUMN ol_ended   timestamptz,
  ADD COLUMN ol_facets  jsonb;
CREATE INDEX ON dataml.run (ol_run_id) WHERE ol_run_id IS NOT NULL;
CREATE INDEX ON dataml.run (job_id, run_key) WHERE job_id IS NOT NULL;

-- published: by our operators; snapshot: taken of a table we do not write; observed: a run of somebody else
-- wrote; found: it was there when first read.
ALTER TABLE dataml.version
  ADD COLUMN origin text NOT NULL DEFAULT 'published' CHECK (origin IN ('published', 'snapshot', 'observed', 'found'));

-- What was published stays as it is, whoever may amend what was observed: only the owner of the ledger mends it.
CREATE FUNCTION dataml.version_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'MEMBER') THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  RAISE EXCEPTION 'a version that was published never changes: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER version_refuse BEFORE UPDATE OR DELETE ON dataml.version
  FOR EACH ROW WHEN (OLD.origin IN ('published', 'snapshot')) EXECUTE FUNCTION dataml.version_refuse();

-- ... and by whoever else was seen writing it.
CREATE FUNCTION dataml.note_write() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE dataml.asset a SET last_write = w.at
  FROM (SELECT asset_id, max(created_at) AS at FROM added WHERE origin = 'observed' GROUP BY asset_id) w
  WHERE a.asset_id = w.asset_id AND (a.last_write IS NULL OR a.last_write < w.at);
  RETURN NULL;
END $$;
CREATE TRIGGER note_write AFTER INSERT ON dataml.version REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION dataml.note_write();

CREATE TABLE dataml.run_io (
  run_key    bigint NOT NULL REFERENCES dataml.run,
  try_number int NOT NULL DEFAULT 1,
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  direction  text NOT NULL CHECK (direction IN ('in', 'out')),
  version_id bigint REFERENCES dataml.version,
  stats      jsonb,
  seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- When it was read or written, as the run's events say; what decides the version where they name none.
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  named      text,
  PRIMARY KEY (run_key, try_number, asset_id, direction)
);
CREATE INDEX ON dataml.run_io (asset_id, run_key);
-- Whose reads a write heard of late stands before, and who reads a version.
CREATE INDEX run_io_reads ON dataml.run_io (asset_id, at) WHERE direction = 'in';
CREATE INDEX ON dataml.run_io (version_id);
-- What stood when: of an asset nobody points at, by time.
CREATE INDEX version_time ON dataml.version (asset_id, created_at);
CREATE INDEX version_run ON dataml.version (run_key);

-- Which columns went into which, content-addressed: one statement run a thousand times is one row.
CREATE TABLE dataml.column_map (
  column_map text PRIMARY KEY,
  mapping    jsonb NOT NULL,
  -- declared, analyzer, sqlglot, facet, table
  method     text NOT NULL,
  confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1)
);

-- What a part's columns were made from, known since it was staged and for the edges of every version it is in.
CREATE TABLE dataml.part_columns (
  part_id    bigint NOT NULL REFERENCES dataml.part,
  version_id bigint NOT NULL REFERENCES dataml.version,
  column_map text NOT NULL REFERENCES dataml.column_map,
  PRIMARY KEY (part_id, version_id)
);

-- Nodes as numbers, versions above zero and reports below: what walks of a million edges are made on.
ALTER TABLE dataml.edge
  DROP COLUMN columns,
  ADD COLUMN column_map text REFERENCES dataml.column_map,
  -- Known from events alone: taken back when later events of the run say otherwise.
  ADD COLUMN observed boolean NOT NULL DEFAULT false,
  ADD COLUMN src_id bigint NOT NULL GENERATED ALWAYS AS
    (CASE WHEN src LIKE 'version:%' THEN substr(src, 9)::bigint ELSE -substr(src, 8)::bigint END) STORED,
  ADD COLUMN dst_id bigint NOT NULL GENERATED ALWAYS AS
    (CASE WHEN dst LIKE 'version:%' THEN substr(dst, 9)::bigint ELSE -substr(dst, 8)::bigint END) STORED;
CREATE INDEX edge_down ON dataml.edge (src_id) INCLUDE (dst_id);
CREATE INDEX edge_up ON dataml.edge (dst_id) INCLUDE (src_id);
CREATE INDEX edge_run ON dataml.edge (run_key);

-- The graph by name: which asset flows into which, by which job, since and until when.
CREATE TABLE dataml.asset_edge (
  src      bigint NOT NULL REFERENCES dataml.asset,
  dst      bigint NOT NULL REFERENCES dataml.asset,
  job_id   bigint NOT NULL REFERENCES dataml.job,
  first_at timestamptz NOT NULL,
  last_at  timestamptz NOT NULL,
  -- Tries that did it; none where a job or a view was only described.
  runs     bigint NOT NULL DEFAULT 1,
  declared boolean NOT NULL DEFAULT false,
  -- The newest mapping of its columns, and since when; edges of columns not seen since are of the past.
  column_map text REFERENCES dataml.column_map,
  mapped_at  timestamptz,
  PRIMARY KEY (src, dst, job_id)
);
CREATE INDEX asset_edge_up ON dataml.asset_edge (dst) INCLUDE (src);
-- Every run counts its edges and sees its job again.
ALTER TABLE dataml.asset_edge SET (fillfactor = 70);
ALTER TABLE dataml.job SET (fillfactor = 80);

-- Written below an edge of assets, which is checked: sixty checks more would be two thirds of the cost.
CREATE TABLE dataml.column_edge (
  src        bigint NOT NULL,
  src_column text NOT NULL,
  dst        bigint NOT NULL,
  dst_column text NOT NULL,
  job_id     bigint NOT NULL,
  -- direct: values come from it; indirect: it filters, joins, groups or sorts
  kind       text NOT NULL DEFAULT 'direct' CHECK (kind IN ('direct', 'indirect')),
  method     text NOT NULL,
  confidence real NOT NULL,
  first_at   timestamptz NOT NULL,
  last_at    timestamptz NOT NULL,
  PRIMARY KEY (dst, dst_column, src, src_column, job_id, kind)
);
CREATE INDEX ON dataml.column_edge (src, src_column);

-- OpenLineage events as they came, kept until the graph and every backend have them.
CREATE TABLE dataml.lineage_event (
  event_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Digest of the content: the same event twice is one.
  event_key     text NOT NULL UNIQUE,
  source        text NOT NULL CHECK (source IN ('transport', 'receiver', 'operator')),
  ordering_key  text NOT NULL,
  event_type    text,
  event_time    timestamptz NOT NULL,
  -- What the emitting process knew of its task, which the event itself may lack.
  task          jsonb,
  -- As it came: nobody asks for parts of many, and text is taken and given back several times as fast.
  payload       json NOT NULL,
  received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- In the graph: new, stored, or refused with the reason.
  state         text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'stored', 'refused')),
  error         text,
  -- Whose it is, once it is in the graph; what came later of the same try is put together with it.
  run_key       bigint REFERENCES dataml.run,
  try_number    int,
  -- Whether every backend known then has its delivery row.
  fanned        boolean NOT NULL DEFAULT false
);
CREATE INDEX lineage_event_run ON dataml.lineage_event (run_key, try_number) WHERE run_key IS NOT NULL;
CREATE INDEX lineage_event_new ON dataml.lineage_event (event_id) WHERE state = 'new';
CREATE INDEX lineage_event_unfanned ON dataml.lineage_event (event_id) WHERE NOT fanned;
CREATE INDEX ON dataml.lineage_event (received_at);
-- An end asks whether its start has been heard of.
CREATE INDEX lineage_event_start ON dataml.lineage_event (ordering_key) WHERE event_type = 'START';

-- Where events go besides; no secret is kept here, only the name of what holds it.
CREATE TABLE dataml.lineage_backend (
  backend_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL UNIQUE,
  kind       text NOT NULL,
  target     text NOT NULL DEFAULT '',
  state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
  -- While it does not answer it is asked again then, and not before.
  retry_at   timestamptz,
  failures   int NOT NULL DEFAULT 0,
  last_error text,
  last_delivered_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dataml.lineage_delivery (
  backend_id   bigint NOT NULL REFERENCES dataml.lineage_backend,
  event_id     bigint NOT NULL REFERENCES dataml.lineage_event ON DELETE CASCADE,
  ordering_key text NOT NULL,
  -- Order within a run: an event that came late from a spool still goes before those after it.
  event_time   timestamptz NOT NULL,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts     int NOT NULL DEFAULT 0,
  next_at      timestamptz NOT NULL DEFAULT now(),
  last_error   text,
  delivered_at timestamptz,
  PRIMARY KEY (backend_id, event_id)
);
CREATE INDEX lineage_delivery_due ON dataml.lineage_delivery (backend_id, event_id) WHERE state = 'pending';
CREATE INDEX lineage_delivery_order ON dataml.lineage_delivery (backend_id, ordering_key, event_time, event_id) WHERE state = 'pending';
CREATE INDEX lineage_delivery_dead ON dataml.lineage_delivery (backend_id, event_id) WHERE state = 'dead';
CREATE INDEX ON dataml.lineage_delivery (event_id);

-- Lists of incidents and of the audit chain that people filter.
CREATE INDEX incident_unresolved ON dataml.incident (incident_id) WHERE state <> 'resolved';
CREATE INDEX incident_asset ON dataml.incident (asset_id, incident_id);
CREATE INDEX audit_subject ON dataml.audit (subject COLLATE "C", seq);
CREATE INDEX audit_actor ON dataml.audit (actor COLLATE "C", seq);
CREATE INDEX audit_action ON dataml.audit (action, seq);
CREATE INDEX audit_at ON dataml.audit (at);
