// Performance without labels beside the realised one, and labels and predictions that never came, over the windows.

import { Box } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import type { Expected as ExpectedMetric, WindowRow } from "../api/types";
import { Lines, type Moment, type Spot } from "../ui/lines";
import { assetPath } from "../ui/paths";
import { Alert, type Column, Muted, Note, Rows, Section } from "../ui/pieces";
import { number, share } from "../ui/words";
import { interval } from "./evaluations";
import { windowName } from "./heat";
import { expectedLoss, type Known, knownOf } from "./watch";

interface OverTimeProps {
  name: string;
  /** Oldest first. */
  windows: WindowRow[];
  chosen: WindowRow | undefined;
}

interface Told {
  window: WindowRow;
  known: Known | undefined;
  expected: ExpectedMetric | null;
}

function spot(value: { estimate: number; low: number | null; high: number | null } | null | undefined): Spot | null {
  return value ? { value: value.estimate, low: value.low, high: value.high } : null;
}

export function lossWords({ window, known, expected }: Told): string {
  const realised = known?.loss ? `realised ${interval(known.loss)}` : "no labels yet, or too few";
  const foretold = expected
    ? `expected ${number(expected.estimate)} [${number(expected.low)}, ${number(expected.high)}] without labels`
    : "no estimate without labels";
  const released = window.released === null ? "" : `, ${number(window.released)} at release`;
  return `Batch ${windowName(window)}: ${realised}, ${foretold}${released}`;
}

function labelWords({ window, known }: Told): string {
  const batch = `Batch ${windowName(window)}`;
  if (!known?.scored) return `${batch}: nothing is known of its labels`;
  return `${batch}: ${number(known.labelled)} of ${number(known.scored)} labels are there (${share((known.labelled ?? 0) / known.scored)})`;
}

const METRICS: Column<ExpectedMetric>[] = [
  { title: "Metric", cell: (one) => one.metric.replaceAll("_", " ") },
  { title: "Expected", right: true, cell: (one) => number(one.estimate) },
  { title: "Interval", right: true, cell: (one) => `${number(one.low)} to ${number(one.high)}` },
  { title: "At release", right: true, cell: (one) => number(one.released) },
];

export function Expected({ name, windows, chosen }: OverTimeProps) {
  const navigate = useNavigate();
  const known = knownOf(windows);
  const told = windows.map((window): Told => ({
    window,
    known: known.get(windowName(window)),
    expected: expectedLoss(window),
  }));
  const moments = (said: (one: Told) => string) =>
    told.map((one): Moment => ({
      name: windowName(one.window),
      said: said(one),
      chosen: one.window.report_id === chosen?.report_id,
      go: () => navigate(assetPath(name, { tab: "monitoring", report: one.window.report_id })),
    }));
  const metric = told.flatMap(({ expected }) => expected ?? [])[0]?.metric;
  return (
    <Box>
      {metric && (
        <Section title="Expected without labels, and realised">
          <Box overflowX="auto" tabIndex={0} role="region" aria-label="Expected and realised loss">
            <Lines
              label="Expected and realised loss"
              unit={`mean ${metric.replaceAll("_", " ")}`}
              moments={moments(lossWords)}
              series={[
                { name: "expected without labels", ink: "purple-fg", spots: told.map((one) => spot(one.expected)) },
                { name: "realised", ink: "fg-info", heavy: true, spots: told.map((one) => spot(one.known?.loss)) },
                {
                  name: "at release",
                  ink: "fg-muted",
                  dashed: true,
                  spots: windows.map(({ released }) => (released === null ? null : { value: released })),
                },
                {
                  name: "borne up to",
                  ink: "fg-error",
                  dashed: true,
                  spots: windows.map(({ limit }) => (limit === null ? null : { value: limit })),
                },
              ]}
            />
          </Box>
          <Muted fontSize="sm">
            The estimate knows the scores alone. Where the realised loss leaves its interval, the same score has begun
            to mean something else.
          </Muted>
          {chosen && chosen.watch.expected.length > 0 && (
            <Box mt={2}>
              <Rows
                columns={METRICS}
                rows={chosen.watch.expected}
                id={(one) => one.metric}
                label={`Expected of batch ${windowName(chosen)} without labels`}
              />
            </Box>
          )}
        </Section>
      )}
      <Came told={told} moments={moments(labelWords)} />
    </Box>
  );
}

/** Shares of labels that came, against what was promised, and what is late by now. */
function Came({ told, moments }: { told: Told[]; moments: Moment[] }) {
  const newest = told[told.length - 1]?.window;
  if (!newest || !told.some(({ known }) => known?.scored)) return null;
  const late = newest.findings.late ?? [];
  const came = told.map(({ known }): Spot | null =>
    known?.scored ? { value: (100 * (known.labelled ?? 0)) / known.scored } : null,
  );
  const promised = told.map(({ window }): Spot | null =>
    window.watch.promised === null ? null : { value: 100 * window.watch.promised },
  );
  return (
    <Section title="Labels and predictions that came">
      {late.map((one) => (
        <Alert key={one} status="warning" mb={2}>
          {one}
        </Alert>
      ))}
      {!late.length && <Note>{calm(newest)}</Note>}
      <Box overflowX="auto" tabIndex={0} role="region" aria-label="Share of labels that came">
        <Lines
          label="Share of labels that came"
          unit="% of predictions"
          moments={moments}
          ticks={[0, 50, 100]}
          told={(value) => `${number(value)} %`}
          series={[
            { name: "labels that are there", ink: "fg-info", heavy: true, spots: came },
            { name: "promised in time", ink: "fg-muted", dashed: true, spots: promised },
          ]}
        />
      </Box>
    </Section>
  );
}

function calm(window: WindowRow): string {
  return window.watch.promised === null
    ? "Nobody is held to a time: a policy's max_label_delay and max_prediction_delay say when something is late."
    : `Nothing was late when batch ${windowName(window)} was looked at.`;
}
