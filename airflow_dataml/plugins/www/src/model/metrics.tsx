// Metrics of one's own over the windows, and how far the attribution moved to other features.

import { Box } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import type { OwnMetric, WindowRow } from "../api/types";
import { finite, type Json, objects } from "../reports/json";
import { colour, Drawing, INK } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { type Column, Go, Mark, Muted, Rows, Section } from "../ui/pieces";
import { type Point, Trend } from "../ui/series";
import { number, share, words } from "../ui/words";
import { windowName } from "./heat";

interface OverTimeProps {
  name: string;
  /** Oldest first. */
  windows: WindowRow[];
  chosen: WindowRow | undefined;
}

/** From where to where a metric may lie, in words. */
export function allowed({ low, high }: Pick<OwnMetric, "low" | "high">): string {
  if (low === null) return high === null ? "not known yet" : `up to ${number(high)}`;
  return high === null ? `from ${number(low)}` : `${number(low)} to ${number(high)}`;
}

/** All batches in one cell of a table, as long as they are not too many to be told apart. */
function stepOf(batches: number): number {
  return Math.max(10, Math.min(26, 560 / Math.max(batches, 1)));
}

interface Listed {
  name: string;
  at: OwnMetric | undefined;
  points: Point[];
}

const METRICS: Column<Listed>[] = [
  { title: "Metric", cell: (one) => one.name },
  { title: "Verdict", cell: (one) => <Mark text={one.at?.verdict} title={one.at?.reason ?? undefined} /> },
  { title: "Value", right: true, cell: (one) => number(one.at?.value) },
  { title: "Allowed or usual", cell: (one) => (one.at ? (one.at.reason ?? allowed(one.at)) : "-") },
  {
    title: "Over the batches, its band behind it",
    cell: (one) => (
      <Box overflowX="auto" maxW="36rem" tabIndex={0} role="region" aria-label={`${one.name} over the batches`}>
        <Trend points={one.points} label={one.name} height={64} step={stepOf(one.points.length)} />
      </Box>
    ),
  },
];

export function OwnMetrics({ name, windows, chosen }: OverTimeProps) {
  const navigate = useNavigate();
  const names = [...new Set(windows.flatMap((window) => window.watch.metrics.map((one) => one.name)))];
  if (!names.length) return null;
  const rows = names.map((metric): Listed => ({
    name: metric,
    at: chosen?.watch.metrics.find((one) => one.name === metric),
    points: windows.map((window): Point => {
      const one = window.watch.metrics.find((found) => found.name === metric);
      const label = `${metric} of batch ${windowName(window)}`;
      return {
        observed: one?.value,
        low: one?.low,
        high: one?.high,
        verdict: one?.verdict,
        label: one ? `${label}: ${number(one.value)}, ${one.verdict}, ${allowed(one)}` : `${label}: not measured`,
        go: () => navigate(assetPath(name, { tab: "monitoring", report: window.report_id })),
      };
    }),
  }));
  return (
    <Section title="Metrics of one's own">
      <Rows columns={METRICS} rows={rows} id={(one) => one.name} label="Metrics of one's own" />
    </Section>
  );
}

export function AttributionOverTime({ name, windows }: OverTimeProps) {
  const navigate = useNavigate();
  if (!windows.some((window) => window.watch.moved !== null)) return null;
  const label = "Attribution that moved to other features";
  const points = windows.map((window): Point => {
    const { moved, borne } = window.watch;
    const beyond = moved !== null && borne !== null && moved > borne;
    const limit = borne === null ? "" : `, borne ${share(borne)}`;
    return {
      observed: moved,
      high: borne,
      verdict: beyond ? "warn" : "pass",
      label: `Batch ${windowName(window)}: ${moved === null ? "not known" : share(moved)}${limit}`,
      go: () => navigate(assetPath(name, { tab: "monitoring", report: window.report_id })),
    };
  });
  return (
    <Section title={label}>
      <Box overflowX="auto" tabIndex={0} role="region" aria-label={label}>
        <Trend points={points} label={label} />
      </Box>
    </Section>
  );
}

const HALF = 70;

/** A change of a share to either side of nothing. */
function Change({ value, most }: { value: number; most: number }) {
  const long = (Math.abs(value) / (most || 1)) * HALF;
  return (
    <Drawing width={2 * HALF} height={12} label={`${value > 0 ? "+" : ""}${number(100 * value)} points`}>
      <line x1={HALF} x2={HALF} y1={0} y2={12} stroke={INK.line} />
      <rect
        x={value < 0 ? HALF - long : HALF}
        y={2}
        width={Math.max(long, 1)}
        height={8}
        rx={2}
        fill={colour(value < 0 ? "fg-muted" : "fg-info")}
      />
    </Drawing>
  );
}

/** What single predictions of one window rest on, against when the model was explained. */
export function Attribution({ name, attribution }: { name: string; attribution: Json }) {
  const shares = objects(attribution.shares).map((one) => ({
    feature: words(one.feature),
    change: finite(one.change) ?? 0,
  }));
  const most = Math.max(...shares.map((one) => Math.abs(one.change)), 0);
  const columns: Column<(typeof shares)[number]>[] = [
    { title: "Feature", cell: (one) => one.feature },
    { title: "Less or more of the attribution", cell: (one) => <Change value={one.change} most={most} /> },
    {
      title: "Points",
      right: true,
      cell: (one) => `${one.change > 0 ? "+" : ""}${number(Number((100 * one.change).toPrecision(3)))}`,
    },
  ];
  const order = finite(attribution.rank_correlation);
  const report = finite(attribution.against);
  return (
    <Section title="What its predictions rest on">
      <Box mb={2}>
        {`${share(finite(attribution.share_shift))} of the attribution lies on other features than in `}
        {report === null ? (
          "the explanation"
        ) : (
          <Go to={assetPath(name, { tab: "reports", report })}>{`explanation ${report}`}</Go>
        )}
        {order === null ? "." : `; the order of the features correlates by ${number(order)}.`}
      </Box>
      <Rows columns={columns} rows={shares} id={(one) => one.feature} label="Attribution that moved" />
      <Muted fontSize="sm">{`Of ${number(attribution.predictions)} predictions, the most extreme ones.`}</Muted>
    </Section>
  );
}
