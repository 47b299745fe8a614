// Facts as the API answers them, with what a test says put in.

import type { Asset, AssetRow, CheckCell, CheckReport, IncidentRow, VersionRow } from "../src/api/types";

const NOW = "2026-03-01T12:00:00Z";

export function row(facts: Partial<AssetRow> = {}): AssetRow {
  return {
    name: "rides",
    kind: "dataset",
    subtype: null,
    status: "active",
    owner: "ana",
    description: null,
    importance: "high",
    domain: null,
    asset_group: null,
    tags: [],
    terms: [],
    source: "declared",
    version: 2,
    rows: 40,
    verdict: "pass",
    incidents: 0,
    last_write: NOW,
    freshness_s: null,
    stale: null,
    producers: [],
    consumers: [],
    models: [],
    ...facts,
  };
}

export function asset(facts: Partial<Asset> = {}): Asset {
  return {
    ...row(),
    uri: "dataml://rides",
    first_seen: NOW,
    last_seen: NOW,
    written_at: NOW,
    versions: 2,
    documentation: null,
    columns: [],
    names: [],
    location: {},
    aliases: [],
    open_incidents: [],
    bytes: 0,
    quarantined: 0,
    contract: null,
    ...facts,
  };
}

export function version(facts: Partial<VersionRow> = {}): VersionRow {
  return {
    version_id: 1,
    number: 1,
    rows: 20,
    batch_rows: 20,
    fingerprint: null,
    schema_hash: "s",
    partition_key: null,
    created_at: NOW,
    dag_id: "rides",
    run_id: "manual",
    task_id: "publish",
    map_index: -1,
    metrics: null,
    dataset: null,
    aliases: [],
    verdicts: { check: "pass" },
    mode: "append",
    restored: null,
    branch: null,
    merged: null,
    parent: null,
    schema: null,
    parts: 1,
    bytes: 100,
    own: 100,
    holders: [],
    state: "retained",
    ...facts,
  };
}

export function cell(facts: Partial<CheckCell> = {}): CheckCell {
  return {
    id: "rows",
    name: "row_count",
    type: null,
    column: null,
    verdict: "pass",
    observed: 20,
    threshold: "> 0",
    unit: null,
    detail: null,
    low: null,
    high: null,
    center: null,
    ...facts,
  };
}

export function checkReport(facts: Partial<CheckReport> = {}): CheckReport {
  return {
    report_id: 1,
    verdict: "pass",
    created_at: NOW,
    version: 1,
    partition_key: null,
    engine: "native",
    scope: "batch",
    summary: null,
    broken: false,
    quarantine: null,
    checks: [cell()],
    ...facts,
  };
}

export function incident(facts: Partial<IncidentRow> = {}): IncidentRow {
  return {
    incident_id: 7,
    asset: "rides",
    kind: "data",
    severity: "high",
    state: "new",
    title: "batch 2 broke its contract",
    report_id: 3,
    suspects: [],
    opened_at: NOW,
    resolved_at: null,
    resolution: null,
    assignee: null,
    ...facts,
  };
}
