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
  -- Digest of the last registration: equal means that there is nothing to do.
  ADD COLUMN digest        text,
  -- Names of columns and whatever else shall be found, beside the words of the entry itself.
  ADD COLUMN search_text   text NOT NULL DEFAULT '',
  ADD COLUMN crawl_scope   text,
  ADD COLUMN crawl_id      bigint;

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
  asset_id    bigint NOT NULL REFERENCES dataml.asset,
  name        text NOT NULL,
  description text,
  tags        jsonb NOT NULL DEFAULT '[]',
  terms       jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (asset_id, name)
);

CREATE TABLE dataml.asset_schema (
  asset_id    bigint NOT NULL REFERENCES dataml.asset,
  seq         int NOT NULL,
  schema_hash text NOT NULL REFERENCES dataml.schema_blob,
  source      text NOT NULL,
  seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (asset_id, seq)
);

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

-- A run is one task instance. What lineage says of it stands beside what our operators wrote; a run of
-- another system is its namespace, run id and job. OpenLineage run ids of Airflow may collide and are no key.
ALTER TABLE dataml.run
  ADD COLUMN source     text NOT NULL DEFAULT 'operator' CHECK (source IN ('operator', 'lineage')),
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

CREATE TABLE dataml.run_io (
  run_key    bigint NOT NULL REFERENCES dataml.run,
  try_number int NOT NULL DEFAULT 1,
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  direction  text NOT NULL CHECK (direction IN ('in', 'out')),
  version_id bigint REFERENCES dataml.version,
  stats      jsonb,
  seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (run_key, try_number, asset_id, direction)
);
CREATE INDEX ON dataml.run_io (asset_id, run_key);

-- Which columns went into which, content-addressed: one statement run a thousand times is one row.
CREATE TABLE dataml.column_map (
  column_map text PRIMARY KEY,
  mapping    jsonb NOT NULL,
  -- declared, analyzer, sqlglot, facet, table
  method     text NOT NULL,
  confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1)
);

-- Nodes as numbers, versions above zero and reports below: what walks of a million edges are made on.
ALTER TABLE dataml.edge
  DROP COLUMN columns,
  ADD COLUMN column_map text REFERENCES dataml.column_map,
  ADD COLUMN src_id bigint NOT NULL GENERATED ALWAYS AS
    (CASE WHEN src LIKE 'version:%' THEN substr(src, 9)::bigint ELSE -substr(src, 8)::bigint END) STORED,
  ADD COLUMN dst_id bigint NOT NULL GENERATED ALWAYS AS
    (CASE WHEN dst LIKE 'version:%' THEN substr(dst, 9)::bigint ELSE -substr(dst, 8)::bigint END) STORED;
CREATE INDEX edge_down ON dataml.edge (src_id) INCLUDE (dst_id);
CREATE INDEX edge_up ON dataml.edge (dst_id) INCLUDE (src_id);

-- The graph by name: which asset flows into which, by which job, since and until when.
CREATE TABLE dataml.asset_edge (
  src      bigint NOT NULL REFERENCES dataml.asset,
  dst      bigint NOT NULL REFERENCES dataml.asset,
  job_id   bigint NOT NULL REFERENCES dataml.job,
  first_at timestamptz NOT NULL,
  last_at  timestamptz NOT NULL,
  runs     bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (src, dst, job_id)
);
CREATE INDEX asset_edge_up ON dataml.asset_edge (dst) INCLUDE (src);

CREATE TABLE dataml.column_edge (
  src        bigint NOT NULL REFERENCES dataml.asset,
  src_column text NOT NULL,
  dst        bigint NOT NULL REFERENCES dataml.asset,
  dst_column text NOT NULL,
  job_id     bigint NOT NULL REFERENCES dataml.job,
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
  payload       jsonb NOT NULL,
  received_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- In the graph: new, stored, or refused with the reason.
  state         text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'stored', 'refused')),
  error         text,
  -- Whether every backend known then has its delivery row.
  fanned        boolean NOT NULL DEFAULT false
);
CREATE INDEX lineage_event_new ON dataml.lineage_event (event_id) WHERE state = 'new';
CREATE INDEX lineage_event_unfanned ON dataml.lineage_event (event_id) WHERE NOT fanned;
CREATE INDEX ON dataml.lineage_event (received_at);

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
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts     int NOT NULL DEFAULT 0,
  next_at      timestamptz NOT NULL DEFAULT now(),
  last_error   text,
  delivered_at timestamptz,
  PRIMARY KEY (backend_id, event_id)
);
CREATE INDEX lineage_delivery_due ON dataml.lineage_delivery (backend_id, event_id) WHERE state = 'pending';
CREATE INDEX lineage_delivery_order ON dataml.lineage_delivery (backend_id, ordering_key, event_id) WHERE state = 'pending';
CREATE INDEX lineage_delivery_dead ON dataml.lineage_delivery (backend_id, event_id) WHERE state = 'dead';
