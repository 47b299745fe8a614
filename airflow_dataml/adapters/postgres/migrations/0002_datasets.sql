-- Parts of any store, branches, states of incremental checks, quarantine, and a call when something new is there.

ALTER TABLE dataml.part RENAME COLUMN relation TO locator;
ALTER TABLE dataml.part
  ADD COLUMN store          text NOT NULL DEFAULT 'postgres',
  ADD COLUMN hash_algorithm text NOT NULL DEFAULT 'pg1',
  -- batch: rows as they came; rewrite: a parent's part without the rows a merge touched; compacted: several as one
  ADD COLUMN role           text NOT NULL DEFAULT 'batch'
    CHECK (role IN ('batch', 'rewrite', 'compacted', 'adopted', 'snapshot')),
  ADD COLUMN state          text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dropped', 'released')),
  ADD COLUMN bytes          bigint,
  -- What a merge was computed on, and which of its parts the new ones stand for.
  ADD COLUMN parent_id      bigint REFERENCES dataml.version,
  ADD COLUMN replaces       bigint[] NOT NULL DEFAULT '{}',
  ADD COLUMN gone_at        timestamptz;
CREATE INDEX ON dataml.part (locator);

-- What an engine measured of one part under one plan; adds up over the parts of a version.
CREATE TABLE dataml.part_state (
  part_id     bigint NOT NULL REFERENCES dataml.part,
  engine      text NOT NULL,
  plan        text NOT NULL,
  state       jsonb NOT NULL,
  measured_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (part_id, engine, plan)
);

-- The same for tables nobody publishes through the ledger: one row per block range.
CREATE TABLE dataml.segment_state (
  relation    text NOT NULL,
  engine      text NOT NULL,
  plan        text NOT NULL,
  segment     int NOT NULL,
  state       jsonb NOT NULL,
  measured_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (relation, engine, plan, segment)
);

-- Rows that were refused, one table per quarantined batch.
CREATE TABLE dataml.quarantine (
  quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  asset_id      bigint NOT NULL REFERENCES dataml.asset,
  run_key       bigint NOT NULL REFERENCES dataml.run,
  fact_key      text NOT NULL UNIQUE,
  part_id       bigint NOT NULL REFERENCES dataml.part,
  relation      text NOT NULL,
  row_count     bigint NOT NULL,
  tested        bigint NOT NULL,
  reasons       jsonb NOT NULL,
  partition_key text,
  report_id     bigint REFERENCES dataml.report,
  state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_at     timestamptz,
  -- The branch the batch was for; null is what everybody reads.
  branch        text,
  version_id    bigint REFERENCES dataml.version,
  note          text
);
CREATE INDEX ON dataml.quarantine (asset_id, quarantine_id DESC);
CREATE INDEX ON dataml.quarantine (part_id);
CREATE INDEX ON dataml.quarantine (report_id);

-- Which staged batches bring quarantined rows back.
CREATE TABLE dataml.quarantine_replay (
  part_id       bigint NOT NULL REFERENCES dataml.part,
  quarantine_id bigint NOT NULL REFERENCES dataml.quarantine,
  PRIMARY KEY (part_id, quarantine_id)
);
CREATE INDEX ON dataml.quarantine_replay (quarantine_id);

-- A branch is an alias that bears its name, and a schema of views over the same parts.
CREATE TABLE dataml.branch (
  branch_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text NOT NULL,
  schema_name text NOT NULL,
  run_key     bigint NOT NULL REFERENCES dataml.run,
  state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'merged', 'dropped')),
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_at   timestamptz,
  closed_by   bigint REFERENCES dataml.run
);
CREATE UNIQUE INDEX branch_open ON dataml.branch (name) WHERE state = 'open';
CREATE TABLE dataml.branch_base (
  branch_id  bigint NOT NULL REFERENCES dataml.branch,
  asset_id   bigint NOT NULL REFERENCES dataml.asset,
  version_id bigint REFERENCES dataml.version,
  PRIMARY KEY (branch_id, asset_id)
);

-- Whoever waits for a version or a report is told when the transaction commits.
CREATE FUNCTION dataml.tell_alias() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('dataml_version', json_build_object(
    'asset', a.name, 'alias', NEW.name, 'version', v.number, 'partition_key', v.partition_key)::text)
  FROM dataml.asset a, dataml.version v WHERE a.asset_id = NEW.asset_id AND v.version_id = NEW.version_id;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_alias AFTER INSERT OR UPDATE ON dataml.alias
  FOR EACH ROW EXECUTE FUNCTION dataml.tell_alias();

CREATE FUNCTION dataml.tell_report() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('dataml_report', json_build_object(
    'asset', a.name, 'report', NEW.report_id, 'kind', NEW.kind, 'verdict', NEW.verdict)::text)
  FROM dataml.asset a WHERE a.asset_id = NEW.asset_id;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_report AFTER INSERT ON dataml.report
  FOR EACH ROW EXECUTE FUNCTION dataml.tell_report();

-- A part is immutable: whoever tries to write one through an updatable view is told so.
CREATE FUNCTION dataml.part_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is a part of published versions and cannot be changed: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'insufficient_privilege', HINT = 'Write through a staged batch of the managed dataset.';
END $$;

-- Whether the transaction that published a view is in the reader's snapshot. A reader in REPEATABLE READ
-- whose snapshot is older would see the new view over tables that are still empty to it; it is told to
-- repeat instead. A view that came with a dump from another cluster knows other transaction numbers.
CREATE FUNCTION dataml.published(moved xid8, cluster bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  IF pg_visible_in_snapshot(moved, pg_current_snapshot())
     OR cluster <> (SELECT system_identifier FROM pg_control_system()) THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION 'this dataset was published after the snapshot of this transaction was taken'
    USING ERRCODE = 'serialization_failure', HINT = 'Repeat the transaction.';
END $$;
