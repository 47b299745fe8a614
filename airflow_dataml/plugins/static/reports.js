// Reports: what was looked at, what was found, what it means.

import { Gauge } from "./charts.js";
import { C, h, ROOT, useEffect, useRef, useState } from "./host.js";
import { Alert, Facts, Go, Mark, More, Muted, Note, Rows, State } from "./pieces.js";
import { useAnswer, usePages } from "./reading.js";
import { count, encoded, number, share, utc, words } from "./words.js";

const TELLING = ["fail", "error", "unknown", "warn", "pass"];
const MOST = 40;
// Checks of our own often measure what one of the contract's measures too.
const OURS = { anomaly: " · as in the past", distribution: " · distribution", reference: " · reference" };

export function checkName(check) {
  return check.name + (OURS[check.type] || "");
}

function flatten(value, prefix, out) {
  for (const [name, item] of Object.entries(value || {})) {
    const path = prefix ? `${prefix}.${name}` : name;
    if (item && typeof item === "object" && !Array.isArray(item)) flatten(item, path, out);
    else if (!Array.isArray(item)) out.push([path, item]);
    else if (item.every((entry) => typeof entry !== "object")) out.push([path, item.join("; ")]);
  }
  return out;
}

function Body({ body }) {
  const lists = Object.entries(body).filter(([, value]) =>
    Array.isArray(value) && value.length && value.every((row) => row && typeof row === "object" && !Array.isArray(row)));
  const rest = Object.fromEntries(Object.entries(body).filter(([name]) => name !== "profile" && !lists.some(([list]) => list === name)));
  return h(C.Box, { mt: 2 },
    h(Facts, { pairs: flatten(rest, "", []).slice(0, 120) }),
    lists.map(([name, rows]) => {
      const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
      const columns = names.map((title) => ({
        title, cell: (row) => (title === "verdict" ? h(Mark, { text: row[title] }) : words(row[title])),
      }));
      return h(C.Box, { key: name, mt: 3 }, h(C.Text, { fontWeight: "bold" }, name), h(Rows, { columns, rows }));
    }));
}

// ---- checks ----------------------------------------------------------------------------------------

// Rows that broke a check; what the contract masks is masked in the report already.
export function Sample({ columns, rows }) {
  return h(C.Box, { overflowX: "auto", mt: 1 },
    h(C.Table.Root, { size: "sm", variant: "outline", width: "auto" },
      h(C.Table.Header, null, h(C.Table.Row, null, columns.map((name) => h(C.Table.ColumnHeader, { key: name }, name)))),
      h(C.Table.Body, null, rows.map((row, at) => h(C.Table.Row, { key: at }, row.map((value, place) =>
        h(C.Table.Cell, { key: columns[place], whiteSpace: "nowrap" }, value === null ? h(Muted, null, "null") : words(value))))))));
}

function Evidence({ check, sample }) {
  const diagnostics = check.diagnostics || {};
  const facts = flatten(diagnostics, "", []).filter(([, value]) => value !== null && value !== "").slice(0, MOST);
  return h(C.Box, null,
    check.detail && h(C.Text, null, check.detail),
    h(Gauge, { observed: check.observed, low: diagnostics.low, high: diagnostics.high, verdict: check.verdict }),
    sample && sample.error && h(Muted, null, sample.error),
    sample && sample.rows && h(C.Box, { as: "details", open: check.verdict !== "pass" },
      h("summary", { style: { cursor: "pointer" } }, `${count(sample.rows.length, "row")} at fault, as samples`),
      h(Sample, { columns: sample.columns, rows: sample.rows })),
    facts.length > 0 && h(C.Box, { as: "details" },
      h("summary", { style: { cursor: "pointer" } }, "Evidence"),
      h(Facts, { pairs: facts })));
}

function Aside({ aside }) {
  if (aside.refused) return h(Alert, { status: "warning", mt: 3 }, `No row was set aside: ${aside.refused}.`);
  const reasons = Object.entries(aside.reasons || {}).map(([check, rows]) => `${check}: ${number(rows)}`);
  const part = aside.tested ? ` (${share(aside.rows / aside.tested)})` : "";
  return h(Alert, { status: "info", mt: 3 },
    `${number(aside.rows)} of ${number(aside.tested)} rows${part} were set aside: ${reasons.join(", ")}. `,
    h(Go, { to: `${ROOT}/quarantine` }, "Quarantine"));
}

function CheckBody({ body }) {
  const checks = [...(body.checks || [])].sort((a, b) => TELLING.indexOf(a.verdict) - TELLING.indexOf(b.verdict));
  const samples = body.samples || {};
  const took = (new Date(body.finished) - new Date(body.started)) / 1000;
  const references = Object.entries(body.references || {}).map(([name, ref]) => `${name}: ${ref}`).join(", ");
  return h(C.Box, { mt: 2 },
    h(Facts, {
      pairs: [
        ["Engine", [body.engine, body.engine_version].filter(Boolean).join(" ")], ["Rows looked at", body.rows],
        ["Scope", body.scope], ["Batch", body.partition_key], ["Took", Number.isFinite(took) ? `${Number(took.toPrecision(2))} s` : null],
        ["Read", body.relation], ["Compared with", references], ["Contract", body.contract_digest && h(C.Code, null, body.contract_digest.slice(0, 12))],
      ],
    }),
    (body.errors || []).map((error) => h(Alert, { key: error, status: "error", mt: 3 }, error)),
    body.quarantine && h(Aside, { aside: body.quarantine }),
    h(C.Box, { mt: 3 }, h(Rows, {
      id: "id", rows: checks, empty: "The report has no checks.", columns: [
        { title: "Verdict", cell: (c) => h(Mark, { text: c.verdict, title: c.level === "warn" ? "a miss only warns" : undefined }) },
        { title: "Check", cell: (c) => h("span", { title: c.id }, checkName(c)) },
        { title: "Observed", right: true, cell: (c) => `${words(c.observed)} ${c.unit || ""}`.trim() },
        { title: "Expected", cell: (c) => words(c.threshold) },
        { title: "Evidence", cell: (c) => h(Evidence, { check: c, sample: samples[c.id] }) },
      ],
    })));
}

function AnyBody({ report }) {
  const checked = report.kind === "check" && Array.isArray(report.body.checks);
  return checked ? h(CheckBody, { body: report.body }) : h(Body, { body: report.body });
}

// ---- cards -----------------------------------------------------------------------------------------

function Whole({ id }) {
  const answer = useAnswer(`reports/${id}`);
  return h(C.Box, null, h(State, { answer }), answer.data && h(AnyBody, { report: answer.data }));
}

function checkWords(check) {
  if (check.detail) return `${check.name}: ${check.detail}`;
  if (check.observed === null || check.observed === undefined) return `${check.name} could not be evaluated`;
  return `${check.name} is ${words(check.observed)} ${check.unit || ""}, expected ${words(check.threshold)}`.replace(" ,", ",");
}

function ReportCard({ report }) {
  const [open, setOpen] = useState(false);
  const reasons = Array.isArray(report.reasons) ? report.reasons : [];
  return h(C.Box, { borderWidth: "1px", borderColor: "border.emphasized", borderRadius: "md", p: 3, mb: 2 },
    h(C.Flex, { gap: 3, align: "center", wrap: "wrap" },
      h(C.Text, { fontWeight: "bold" }, `${report.kind} report ${report.report_id}`),
      h(Mark, { text: report.verdict }),
      report.action && h(Mark, { text: report.action }),
      report.version && h(Muted, null, `of @${report.version}`),
      h(Muted, null, `${utc(report.created_at)} UTC`),
      h(C.Button, { size: "xs", variant: "ghost", "aria-expanded": open, onClick: () => setOpen(!open) }, open ? "Less" : "More")),
    report.summary && h(C.Text, { mt: 1 }, words(report.summary)),
    reasons.map((reason) => h(C.Text, { key: reason, mt: 1 }, reason)),
    (report.worst || []).map((check, position) =>
      h(C.HStack, { key: position, mt: 1 }, h(Mark, { text: check.verdict }), h(C.Text, null, checkWords(check)))),
    open && h(Whole, { id: report.report_id }));
}

// One report in full, also one of a batch that was refused and so belongs to no version.
export function ChosenReport({ id }) {
  const answer = useAnswer(`reports/${id}`);
  const box = useRef(null);
  const report = answer.data;
  useEffect(() => {
    if (report && box.current) box.current.scrollIntoView({ block: "nearest" });
  }, [report]);
  return h(C.Box, { as: "section", mt: 6, ref: box },
    h(C.Heading, { size: "md", mb: 2 }, `Report ${id}`),
    h(State, { answer }),
    report && h(C.Box, { borderWidth: "2px", borderColor: "border.emphasized", borderRadius: "md", p: 3 },
      h(C.HStack, { gap: 3 },
        h(C.Text, { fontWeight: "bold" }, report.kind), h(Mark, { text: report.verdict }),
        h(Muted, null, `${utc(report.created_at)} UTC`)),
      report.body.summary && h(C.Text, { mt: 1 }, words(report.body.summary)),
      h(AnyBody, { report })));
}

export function Reports({ name, version }) {
  const pages = usePages(`assets/${encoded(name)}/reports?version=${version}&limit=20`);
  return h(C.Box, null,
    h(State, { answer: pages }),
    !pages.loading && !pages.items.length && !pages.error && h(Note, null, "No report yet."),
    pages.items.map((report) => h(ReportCard, { key: report.report_id, report })),
    h(More, { pages }));
}
