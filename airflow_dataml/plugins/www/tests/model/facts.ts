// Answers about a model, with what a test says put in.

import type { ApprovalRow, EvaluationRow, ModelStanding, OverTime, Shift, Watch, WindowRow } from "../../src/api/types";

const NOW = "2026-03-01T12:00:00Z";
const WRITER = { dag_id: "rides", run_id: "manual", task_id: "monitor", map_index: -1 };

export function shift(facts: Partial<Shift> = {}): Shift {
  return { column: "km", test: "values", psi: 0.02, p_value: 0.9, drifted: false, rows: 1000, ...facts };
}

export function overTime(facts: Partial<OverTime> = {}): OverTime {
  return {
    budget: 60,
    bar: 4.0943,
    evidence: -1,
    sums: { km: -1 },
    windows: 1,
    alarm: false,
    suspects: [],
    counted: true,
    ...facts,
  };
}

export function watch(facts: Partial<Watch> = {}): Watch {
  return {
    evidence: null,
    scored: null,
    labelled: null,
    promised: null,
    expected: [],
    arrived: [],
    metrics: [],
    moved: null,
    borne: null,
    warnings: [],
    ...facts,
  };
}

export function window(facts: Partial<WindowRow> = {}): WindowRow {
  return {
    ...WRITER,
    report_id: 1,
    verdict: "pass",
    created_at: NOW,
    version: 2,
    summary: "no drift",
    partition_key: "2026-02",
    model: "ride_late@2",
    predictions: "ride_scores@1",
    features: "rides@3",
    reference: "rides@2",
    rows: 1000,
    tolerance: 0.1,
    inputs: [shift()],
    prediction: [shift({ column: "score" })],
    released: 0.5,
    now: { estimate: 0.55, low: 0.5, high: 0.6, level: 0.99, n: 900 },
    limit: 0.65,
    findings: {},
    feed_broken: [],
    blind: [],
    watch: watch(),
    decision: null,
    ...facts,
  };
}

export function evaluation(facts: Partial<EvaluationRow> = {}): EvaluationRow {
  const loss = { estimate: 0.5, low: 0.48, high: 0.52, level: 0.95, n: 900 };
  return {
    ...WRITER,
    report_id: 9,
    verdict: "pass",
    created_at: NOW,
    version: 2,
    summary: "surely better by more than 0",
    metric: "log_loss",
    challenger: { who: "ride_late@2", loss, auc: 0.8 },
    opponent: { who: "ride_late@1", loss: { ...loss, estimate: 0.6, low: 0.57, high: 0.63 }, auc: 0.7 },
    difference: { estimate: -0.1, low: -0.12, high: -0.08, level: 0.95, n: 900 },
    rows: 900,
    champion: "ride_late@1",
    dataset: "rides@2",
    cut: "2026-02-15",
    margin: 0.01,
    min_rows: 500,
    decision: { report_id: 10, action: "promote", reasons: ["it is better"], created_at: NOW },
    ...facts,
  };
}

export function standing(facts: Partial<ModelStanding> = {}): ModelStanding {
  return {
    name: "ride_late",
    roles: [],
    evaluation: null,
    monitor: null,
    decision: null,
    registry: null,
    depends: [],
    upstream_incidents: [],
    ...facts,
  };
}

export function approval(facts: Partial<ApprovalRow> = {}): ApprovalRow {
  return {
    entry: 7,
    state: "waiting",
    release_hash: "0123456789abcdef0123456789abcdef",
    releases: [{ asset: "ride_late", kind: "model", version: "ride_late@2", left: "ride_late@1" }],
    required: 2,
    approvers: ["ann", "bob"],
    requesters: ["cas"],
    asked_by: "task:rides/manual/approve",
    requested_at: NOW,
    expires_at: "2026-03-08T12:00:00Z",
    ended_at: null,
    votes: [],
    reasons: [],
    ...facts,
  };
}
