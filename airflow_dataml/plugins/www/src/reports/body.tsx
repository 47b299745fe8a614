// The body of a report: what a verification found, check by check; of other kinds whatever is in it.

import { Box, Code, Table, Text } from "@chakra-ui/react";
import { type ComponentType, lazy, Suspense } from "react";
import type { Report, WorstCheck } from "../api/types";
import { path } from "../ui/paths";
import { Alert, type Column, type Fact, Facts, Go, Mark, Muted, Rows, State } from "../ui/pieces";
import { Gauge } from "../ui/series";
import { count, number, share, words } from "../ui/words";
import { isObject, type Json, list, text } from "./json";

export { isObject, type Json } from "./json";

const TELLING = ["fail", "error", "unknown", "warn", "pass"];
const MOST = 40;
// Checks of our own often measure what one of the contract's measures too.
const OURS: Record<string, string> = {
  anomaly: " · as in the past",
  distribution: " · distribution",
  reference: " · reference",
};

export function checkName(check: { name: string; type?: string | null }): string {
  return check.name + (OURS[check.type ?? ""] ?? "");
}

function isTable(value: unknown): value is Json[] {
  return Array.isArray(value) && value.length > 0 && value.every(isObject);
}

export function flatten(value: unknown, prefix = ""): Fact[] {
  return Object.entries(isObject(value) ? value : {}).flatMap(([name, item]): Fact[] => {
    const place = prefix ? `${prefix}.${name}` : name;
    if (isObject(item)) return flatten(item, place);
    if (!Array.isArray(item)) return [[place, item]];
    return item.every((entry) => typeof entry !== "object") ? [[place, item.join("; ")]] : [];
  });
}

function BodyTable({ name, rows }: { name: string; rows: Json[] }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = names.map((title): Column<Json> => ({
    title,
    cell: (row) => (title === "verdict" ? <Mark text={text(row[title])} /> : words(row[title])),
  }));
  return (
    <Box mt={3}>
      <Text fontWeight="bold">{name}</Text>
      <Rows columns={columns} rows={rows} id={(_, at) => at} label={name} />
    </Box>
  );
}

function Anything({ body }: { body: Json }) {
  const tables = Object.entries(body).flatMap(([name, value]) => (isTable(value) ? [{ name, rows: value }] : []));
  const rest = Object.fromEntries(
    Object.entries(body).filter(([name, value]) => name !== "profile" && !isTable(value)),
  );
  return (
    <Box mt={2}>
      <Facts pairs={flatten(rest).slice(0, 120)} />
      {tables.map(({ name, rows }) => (
        <BodyTable key={name} name={name} rows={rows} />
      ))}
    </Box>
  );
}

/** Rows as samples; what the contract masks is masked in the report already. */
export function Sample({
  columns,
  rows,
  label = "Sample of rows",
}: {
  columns: string[];
  rows: unknown[][];
  label?: string;
}) {
  return (
    <Box overflowX="auto" mt={1} tabIndex={0} role="region" aria-label={label}>
      <Table.Root size="sm" variant="outline" width="auto" aria-label={label}>
        <Table.Header>
          <Table.Row>
            {columns.map((name) => (
              <Table.ColumnHeader key={name} scope="col">
                {name}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {rows.map((row, at) => (
            <Table.Row key={at}>
              {row.map((value, place) => (
                <Table.Cell key={columns[place] ?? place} whiteSpace="nowrap">
                  {value === null ? <Muted>null</Muted> : words(value)}
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

interface Check extends WorstCheck {
  id: string;
  type: string | null;
  level: string | null;
  diagnostics: Json;
}

/** A check as it stands in a body, whose form the ledger does not hold. */
function checkOf(raw: unknown, at: number): Check {
  const item = isObject(raw) ? raw : {};
  return {
    id: text(item.id) ?? String(at),
    name: text(item.name) ?? "check",
    type: text(item.type),
    level: text(item.level),
    verdict: text(item.verdict) ?? "unknown",
    column: text(item.column),
    observed: item.observed,
    threshold: item.threshold === null || item.threshold === undefined ? null : words(item.threshold),
    unit: text(item.unit),
    detail: text(item.detail),
    diagnostics: isObject(item.diagnostics) ? item.diagnostics : {},
  };
}

function Evidence({ check, sample }: { check: Check; sample: unknown }) {
  const facts = flatten(check.diagnostics)
    .filter(([, value]) => value !== null && value !== "")
    .slice(0, MOST);
  const found = isObject(sample) ? sample : {};
  const rows = list(found.rows) as unknown[][];
  return (
    <Box>
      {check.detail && <Text>{check.detail}</Text>}
      <Gauge
        observed={check.observed}
        low={check.diagnostics.low}
        high={check.diagnostics.high}
        verdict={check.verdict}
      />
      {text(found.error) && <Muted>{text(found.error)}</Muted>}
      {Array.isArray(found.rows) && (
        <details open={check.verdict !== "pass"}>
          <summary style={{ cursor: "pointer" }}>{`${count(rows.length, "row")} at fault, as samples`}</summary>
          <Sample columns={list(found.columns).map(String)} rows={rows} label={`Rows that broke ${check.name}`} />
        </details>
      )}
      {facts.length > 0 && (
        <details>
          <summary style={{ cursor: "pointer" }}>Evidence</summary>
          <Facts pairs={facts} />
        </details>
      )}
    </Box>
  );
}

function Aside({ aside }: { aside: Json }) {
  if (aside.refused) return <Alert status="warning" mt={3}>{`No row was set aside: ${words(aside.refused)}.`}</Alert>;
  const reasons = flatten(aside.reasons).map(([check, rows]) => `${check}: ${number(rows)}`);
  const [rows, tested] = [Number(aside.rows), Number(aside.tested)];
  return (
    <Alert status="info" mt={3}>
      {`${number(rows)} of ${number(tested)} rows${tested ? ` (${share(rows / tested)})` : ""} were set aside: ${reasons.join(", ")}. `}
      <Go to={path("quarantine")}>Quarantine</Go>
    </Alert>
  );
}

const columnsOf = (samples: Json): Column<Check>[] => [
  {
    title: "Verdict",
    cell: (c) => <Mark text={c.verdict} title={c.level === "warn" ? "a miss only warns" : undefined} />,
  },
  { title: "Check", cell: (c) => <span title={c.id}>{checkName(c)}</span> },
  { title: "Observed", right: true, cell: (c) => `${words(c.observed)} ${c.unit ?? ""}`.trim() },
  { title: "Expected", cell: (c) => words(c.threshold) },
  { title: "Evidence", cell: (c) => <Evidence check={c} sample={samples[c.id]} /> },
];

function Checks({ body }: { body: Json }) {
  const checks = list(body.checks).map(checkOf);
  checks.sort((a, b) => TELLING.indexOf(a.verdict) - TELLING.indexOf(b.verdict));
  const took = (new Date(String(body.finished)).getTime() - new Date(String(body.started)).getTime()) / 1000;
  return (
    <Box mt={2}>
      <Facts
        pairs={[
          ["Engine", [body.engine, body.engine_version].filter(Boolean).join(" ")],
          ["Rows looked at", body.rows],
          ["Scope", body.scope],
          ["Batch", body.partition_key],
          ["Took", Number.isFinite(took) ? `${Number(took.toPrecision(2))} s` : null],
          ["Read", body.relation],
          [
            "Compared with",
            flatten(body.references)
              .map(([name, ref]) => `${name}: ${ref}`)
              .join(", "),
          ],
          [
            "Contract",
            text(body.contract_digest) && <Code key="digest">{String(body.contract_digest).slice(0, 12)}</Code>,
          ],
        ]}
      />
      {list(body.errors).map((error) => (
        <Alert key={words(error)} status="error" mt={3}>
          {words(error)}
        </Alert>
      ))}
      {isObject(body.quarantine) && <Aside aside={body.quarantine} />}
      <Box mt={3}>
        <Rows
          columns={columnsOf(isObject(body.samples) ? body.samples : {})}
          rows={checks}
          id={(c) => c.id}
          empty="The report has no checks."
          label="Checks"
        />
      </Box>
    </Box>
  );
}

const Explained = lazy(() => import("../model/explanation").then((found) => ({ default: found.Explained })));
const Blamed = lazy(() => import("../governance/blame").then((found) => ({ default: found.Blamed })));
const ImpactDrawn = lazy(() => import("./impact").then((found) => ({ default: found.ImpactDrawn })));
const ReachDrawn = lazy(() => import("./reach").then((found) => ({ default: found.ReachDrawn })));
const Trials = lazy(() => import("../model/trials").then((found) => ({ default: found.Trials })));

type Drawn = [list: string, View: ComponentType<{ body: Json }>];

/** Kinds that have a drawing, and the list without which it has nothing to draw. */
const DRAWN: Record<string, Drawn> = {
  check: ["checks", Checks],
  explanation: ["features", Explained],
  tuning: ["trials", Trials],
  blame: ["suspects", Blamed],
  impact: ["models", ImpactDrawn],
  reach: ["found", ReachDrawn],
};

export function ReportBody({ report: { kind, body } }: { report: Report }) {
  const [needed, View] = DRAWN[kind] ?? [];
  if (!needed || !View || !Array.isArray(body[needed])) return <Anything body={body} />;
  return (
    <Suspense fallback={<State answer={{ loading: true }} />}>
      <View body={body} />
    </Suspense>
  );
}
