// Small drawings of counts and series: inline SVG in the theme's own colours, each with its numbers as title.

import type { CSSProperties, ReactNode } from "react";
import type { Bars, Chart, Values as ValuesChart } from "../api/types";
import { cut, moment, number, share } from "./words";

export const colour = (token: string): string => `var(--chakra-colors-${token})`;
export const INK = {
  new: colour("fg-info"),
  old: colour("fg-muted"),
  line: colour("border-emphasized"),
  faint: colour("fg-muted"),
};

export interface Look {
  fill: string;
  sign: string;
}

const UNKNOWN: Look = { fill: colour("gray-solid"), sign: "?" };
export const VERDICTS: Record<string, Look> = {
  pass: { fill: colour("green-solid"), sign: "" },
  warn: { fill: colour("orange-solid"), sign: "!" },
  unknown: UNKNOWN,
  fail: { fill: colour("red-solid"), sign: "×" },
  error: { fill: colour("purple-solid"), sign: "E" },
};

export function look(verdict: string | null | undefined): Look {
  return VERDICTS[verdict ?? "unknown"] ?? UNKNOWN;
}

const BLOCK: CSSProperties = { display: "block" };

/** A drawing that says in words what it shows. */
export function Drawing({
  width,
  height,
  label,
  children,
}: {
  width: number;
  height: number;
  label: string;
  children: ReactNode;
}) {
  return (
    <svg width={width} height={height} role="img" aria-label={label} style={{ ...BLOCK, overflow: "visible" }}>
      <title>{label}</title>
      {children}
    </svg>
  );
}

const total = (counts: number[]): number => counts.reduce((sum, count) => sum + count, 0);

function edge(chart: Bars, position: number): string {
  const value = chart.low + (position * (chart.high - chart.low)) / (chart.counts[0]?.length || 1);
  return chart.kind === "moment" ? moment(value, chart.high - chart.low) : number(Number(value.toPrecision(4)));
}

interface Ends {
  below: boolean;
  above: boolean;
}

interface Bar {
  n: number;
  share: number;
}

/** Bars of one side: below the histogram, in it, above it. What lies beyond is one bar, set off by a gap. */
function sharesOf(chart: Bars, side: number, ends: Ends): Bar[] {
  const [counts, below, above] = [chart.counts[side] ?? [], chart.below[side] ?? 0, chart.above[side] ?? 0];
  const sum = total(counts) + below + above || 1;
  const all = [...(ends.below ? [below] : []), ...counts, ...(ends.above ? [above] : [])];
  return all.map((n) => ({ n, share: n / sum }));
}

interface DistributionProps {
  chart: Chart | null;
  label: string;
  names?: string[];
  width?: number;
  height?: number;
  axis?: boolean;
}

/** The distribution of one column, of one version or of two over each other (the older one in grey), as shares. */
export function Distribution({
  chart,
  label,
  names = ["this version"],
  width = 220,
  height = 48,
  axis = false,
}: DistributionProps) {
  if (!chart) return null;
  if (chart.kind === "values") return <Values chart={chart} label={label} names={names} width={width} />;
  return <Histogram chart={chart} label={label} names={names} width={width} height={height} axis={axis} />;
}

function Histogram({
  chart,
  label,
  names,
  width,
  height,
  axis,
}: Required<Omit<DistributionProps, "chart">> & { chart: Bars }) {
  const inner = Math.max(...chart.counts.map((counts) => counts.length));
  const ends = { below: total(chart.below) > 0, above: total(chart.above) > 0 };
  const bars = inner + Number(ends.below) + Number(ends.above);
  if (!bars) return null;
  const sides = chart.counts.map((_, side) => sharesOf(chart, side, ends));
  const tallest = Math.max(...sides.flat().map((bar) => bar.share), 1e-9);
  const gap = 5;
  const step = (width - gap * (Number(ends.below) + Number(ends.above))) / bars;
  const first = ends.below ? 1 : 0;
  const last = first + inner;
  const x = (bar: number) =>
    bar * step + (bar >= first && ends.below ? gap : 0) + (bar >= last && ends.above ? gap : 0);
  const span = (bar: number) => {
    if (bar < first) return `below ${edge(chart, 0)}`;
    return bar >= last
      ? `above ${edge(chart, inner)}`
      : `${edge(chart, bar - first)} to ${edge(chart, bar - first + 1)}`;
  };
  const said = `${label}: ${edge(chart, 0)} to ${edge(chart, inner)}${ends.below || ends.above ? ", and beyond" : ""}`;
  const two = sides.length > 1;
  return (
    <Drawing width={width} height={height + (axis ? 16 : 0)} label={said}>
      {sides.map((found, side) =>
        found.map(({ n, share: part }, bar) => {
          if (!n) return null;
          const tall = Math.max((part / tallest) * height, 1);
          return (
            <rect
              key={`${side} ${bar}`}
              x={x(bar) + 0.5}
              y={height - tall}
              width={Math.max(step - 1, 1)}
              height={tall}
              fill={two && side === 0 ? INK.old : INK.new}
              fillOpacity={(two ? 0.55 : 0.9) * (bar < first || bar >= last ? 0.6 : 1)}
            >
              <title>{`${span(bar)}: ${number(n)} (${share(part)}) in ${names[side]}`}</title>
            </rect>
          );
        }),
      )}
      <line x1={0} x2={width} y1={height} y2={height} stroke={INK.line} />
      {axis && <Tick x={0} y={height + 12} text={ends.below ? `< ${edge(chart, 0)}` : edge(chart, 0)} />}
      {axis && (
        <Tick
          x={width}
          y={height + 12}
          text={ends.above ? `> ${edge(chart, inner)}` : edge(chart, inner)}
          anchor="end"
        />
      )}
    </Drawing>
  );
}

export function Tick({
  x,
  y,
  text,
  anchor = "start",
}: {
  x: number;
  y: number;
  text: string;
  anchor?: "start" | "middle" | "end";
}) {
  return (
    <text x={x} y={y} textAnchor={anchor} style={{ fontSize: "10px" }} fill={INK.faint}>
      {text}
    </text>
  );
}

function Values({ chart, label, names, width }: { chart: ValuesChart; label: string; names: string[]; width: number }) {
  const line = 15;
  const sums = chart.counts.map((counts, side) => total(counts) + (chart.other[side] ?? 0) || 1);
  const thick = (line - 3) / chart.counts.length;
  const room = width - 70;
  const told = (row: number) =>
    chart.counts.map(
      (counts, side) => `${number(counts[row])} (${share((counts[row] ?? 0) / (sums[side] ?? 1))}) in ${names[side]}`,
    );
  return (
    <Drawing width={width} height={chart.names.length * line} label={`${label}: shares of its values`}>
      {chart.names.map((name, row) => (
        <g key={name} transform={`translate(0,${row * line})`}>
          <title>{`${name}: ${told(row).join(", ")}`}</title>
          <rect width={width} height={line} fill="transparent" />
          <text x={0} y={11} style={{ fontSize: "11px" }} fill="currentColor">
            {cut(name, 11)}
          </text>
          {chart.counts.map((counts, side) => (
            <rect
              key={side}
              x={70}
              y={1 + side * thick}
              height={thick}
              width={counts[row] ? Math.max((counts[row] / (sums[side] ?? 1)) * room, 1) : 0}
              fill={chart.counts.length > 1 && side === 0 ? INK.old : INK.new}
              fillOpacity={0.9}
            />
          ))}
        </g>
      ))}
    </Drawing>
  );
}

/** Runs ``go`` on a click and on Enter or space: for what is drawn and yet a link. */
export function clickable(go: (() => void) | undefined) {
  if (!go) return {};
  return {
    role: "link",
    tabIndex: 0,
    style: { cursor: "pointer" },
    onClick: go,
    onKeyDown: (event: { key: string; preventDefault: () => void }) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      go();
    },
  };
}

/** A share of one as a bar beside its number. */
export function Share({ value, title }: { value: number; title: string }) {
  return (
    <svg width={60} height={8} role="img" aria-label={title} style={{ display: "inline-block" }}>
      <title>{title}</title>
      <rect width={60} height={8} rx={2} fill={INK.line} fillOpacity={0.5} />
      <rect width={value ? Math.max(60 * value, 1) : 0} height={8} rx={2} fill={look("warn").fill} />
    </svg>
  );
}
