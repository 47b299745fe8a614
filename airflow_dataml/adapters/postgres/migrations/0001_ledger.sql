-- The ledger: immutable facts, movable pointers, an audit chain and an outbox.

CREATE SCHEMA IF NOT EXISTS dataml;
CREATE SCHEMA IF NOT EXISTS dataml_data;

CREATE TABLE dataml.asset (
  asset_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text NOT NULL UNIQUE,
  kind        text NOT NULL CHECK (kind IN ('dataset', 'model', 'prediction', 'external')),
  uri         text NOT NULL,
  owner       text,
  description text,
  importance  text NOT NULL DEFAULT 'moderate' CHECK (importance IN ('critical', 'high', 'moderate', 'low')),
  tags        jsonb NOT NULL DEFAULT '[]',
  location    jsonb NOT NULL DEFAULT '{}',
  source      text NOT NULL DEFAULT 'declared',
  first_seen  timestamptz NOT NULL DEFAULT now(),
  last_seen   timestamptz NOT NULL DEFAULT now()
);

-- One row per task instance, whatever the number of tries. A generation is one deliberate run of it:
-- retries keep it, clearing a finished task whose input has changed starts the next.
CREATE TABLE dataml.run (
  run_key      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dag_id       text NOT NULL,
  run_id       text NOT NULL,
  task_id      text NOT NULL,
  map_index    int NOT NULL DEFAULT -1,
  generation   int NOT NULL DEFAULT 1,
  try_number   int NOT NULL DEFAULT 1,
  input_digest text,
  max_tries    int,
  partition_key text,
  ti_id        text,
  code_version text,
  environment  jsonb NOT NULL DEFAULT '{}',
  state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'success', 'refused')),
  started_at   timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz,
  UNIQUE (dag_id, run_id, task_id, map_index)
);
CREATE INDEX ON dataml.run (started_at);

CREATE TABLE dataml.schema_blob (
  schema_hash text PRIMARY KEY,
  columns     jsonb NOT NULL
);

CREATE TABLE dataml.part (
  part_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id      bigint NOT NULL REFERENCES dataml.asset,
  run_key       bigint NOT NULL REFERENCES dataml.run,
  fact_key      text NOT NULL UNIQUE,
  relation      text NOT NULL,
  schema_hash   text NOT NULL REFERENCES dataml.schema_blob,
  partition_key text,
  row_count     bigint NOT NULL,
  hash_xor      numeric NOT NULL,
  hash_total    numeric NOT NULL,
  profile       jsonb NOT NULL DEFAULT '{}',
  inputs        bigint[] NOT NULL DEFAULT '{}',
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON dataml.part (asset_id, part_id);

CREATE TABLE dataml.version (
  version_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id      bigint NOT NULL REFERENCES dataml.asset,
  number        int NOT NULL,
  parent_id     bigint REFERENCES dataml.version,
  run_key       bigint NOT NULL REFERENCES dataml.run,
  fact_key      text NOT NULL UNIQUE,
  schema_hash   text REFERENCES dataml.schema_blob,
  fingerprint   text,
  row_count     bigint,
  partition_key text,
  facts         jsonb NOT NULL DEFAULT '{}',
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (asset_id, number)
);

CREATE INDEX ON dataml.version ((facts -> 'part_id'));

CREATE TABLE dataml.version_part (
  version_id bigint NOT NULL REFERENCES dataml.version,
  position   int NOT NULL,
  part_id    bigint NOT NULL REFERENCES dataml.part,
  PRIMARY KEY (version_id, position)
);
CREATE INDEX ON dataml.version_part (part_id);

CREATE TABLE dataml.pin (
  version_id bigint NOT NULL REFERENCES dataml.version,
  holder     text NOT NULL,
  reason     text NOT NULL,
  pinned_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (version_id, holder)
);

CREATE TABLE dataml.report (
  report_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  version_id bigint REFERENCES dataml.version,
  part_id    bigint REFERENCES dataml.part,
  run_key    bigint NOT NULL REFERENCES dataml.run,
  fact_key   text NOT NULL,
  kind       text NOT NULL,
  verdict    text NOT NULL CHECK (verdict IN ('pass', 'warn', 'fail', 'error', 'unknown')),
  body       jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (fact_key, kind)
);
CREATE INDEX ON dataml.report (asset_id, kind, report_id DESC);
CREATE INDEX ON dataml.report (version_id);
CREATE INDEX ON dataml.report (part_id);

CREATE TABLE dataml.edge (
  edge_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  src        text NOT NULL CHECK (src ~ '^(version|report):[0-9]+$'),
  dst        text NOT NULL CHECK (dst ~ '^(version|report):[0-9]+$'),
  kind       text NOT NULL,
  run_key    bigint NOT NULL REFERENCES dataml.run,
  columns    jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (src, dst, kind)
);
CREATE INDEX ON dataml.edge (dst);

CREATE TABLE dataml.alias (
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  name       text NOT NULL,
  version_id bigint NOT NULL REFERENCES dataml.version,
  moved_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (asset_id, name)
);

CREATE TABLE dataml.alias_history (
  entry_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id    bigint NOT NULL REFERENCES dataml.asset,
  name        text NOT NULL,
  from_version bigint REFERENCES dataml.version,
  to_version  bigint REFERENCES dataml.version,
  report_id   bigint REFERENCES dataml.report,
  run_key     bigint REFERENCES dataml.run,
  moved_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON dataml.alias_history (asset_id, name, entry_id);

CREATE TABLE dataml.incident (
  incident_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id    bigint NOT NULL REFERENCES dataml.asset,
  kind        text NOT NULL CHECK (kind IN ('data', 'drift', 'decay')),
  severity    text NOT NULL CHECK (severity IN ('low', 'medium', 'high')),
  state       text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'acknowledged', 'assigned', 'resolved')),
  title       text NOT NULL,
  partition_key text,
  report_id   bigint NOT NULL REFERENCES dataml.report,
  suspects    jsonb NOT NULL DEFAULT '[]',
  opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at timestamptz,
  resolution  text
);
-- The same trouble seen again joins the incident that is already open; a broken batch is a trouble of its own.
CREATE UNIQUE INDEX incident_open ON dataml.incident (asset_id, kind, coalesce(partition_key, ''))
  WHERE state <> 'resolved';

CREATE TABLE dataml.outbox (
  outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_key    text NOT NULL UNIQUE,
  topic        text NOT NULL,
  ordering_key text NOT NULL,
  payload      jsonb NOT NULL,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts     int NOT NULL DEFAULT 0,
  next_at      timestamptz NOT NULL DEFAULT now(),
  last_error   text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz
);
CREATE INDEX outbox_due ON dataml.outbox (next_at, outbox_id) WHERE state = 'pending';

-- Audit: the database itself chains and hashes, so no writer can leave a gap.
CREATE TABLE dataml.audit (
  seq       bigint PRIMARY KEY,
  at        timestamptz NOT NULL,
  actor     text NOT NULL,
  action    text NOT NULL,
  subject   text NOT NULL,
  detail    jsonb NOT NULL,
  prev_hash text NOT NULL,
  hash      text NOT NULL
);

CREATE FUNCTION dataml.audit_hash(seq bigint, at timestamptz, actor text, action text, subject text,
                                  detail jsonb, prev_hash text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT encode(sha256(convert_to(
    jsonb_build_array(seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
                      actor, action, subject, detail, prev_hash)::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION dataml.audit_chain() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE last dataml.audit%ROWTYPE;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('dataml.audit', 0));
  SELECT * INTO last FROM dataml.audit ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(last.seq, 0) + 1;
  NEW.at := clock_timestamp();
  NEW.prev_hash := coalesce(last.hash, '');
  NEW.hash := dataml.audit_hash(NEW.seq, NEW.at, NEW.actor, NEW.action, NEW.subject, NEW.detail, NEW.prev_hash);
  RETURN NEW;
END $$;
CREATE TRIGGER audit_chain BEFORE INSERT ON dataml.audit FOR EACH ROW EXECUTE FUNCTION dataml.audit_chain();

CREATE FUNCTION dataml.audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'dataml.audit is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_refuse BEFORE UPDATE OR DELETE ON dataml.audit
  FOR EACH ROW EXECUTE FUNCTION dataml.audit_refuse();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON dataml.audit
  FOR EACH STATEMENT EXECUTE FUNCTION dataml.audit_refuse();

-- The first entry whose content or link does not fit; no row when the chain holds.
CREATE FUNCTION dataml.audit_broken() RETURNS TABLE (seq bigint, reason text)
LANGUAGE sql STABLE AS $$
  SELECT seq, reason FROM (
    SELECT a.seq,
           CASE WHEN a.seq <> row_number() OVER w THEN 'an entry is missing before this one'
                WHEN a.prev_hash <> lag(a.hash, 1, '') OVER w THEN 'does not follow the entry before it'
                WHEN a.hash <> dataml.audit_hash(a.seq, a.at, a.actor, a.action, a.subject, a.detail, a.prev_hash)
                  THEN 'content was changed'
           END AS reason
    FROM dataml.audit a WINDOW w AS (ORDER BY a.seq)
  ) checked WHERE reason IS NOT NULL ORDER BY seq LIMIT 1
$$;
