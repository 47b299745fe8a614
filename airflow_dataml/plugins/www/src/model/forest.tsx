// Estimates with their intervals below each other on one axis: a forest plot.

import { clickable, colour, Drawing, INK, Tick } from "../ui/charts";
import { cut, number } from "../ui/words";

export interface Interval {
  estimate: number;
  low: number | null;
  high: number | null;
}

export interface Line {
  id: number | string;
  label: string;
  /** What stands beside the drawing, such as the number itself. */
  told: string;
  interval: Interval | null;
  verdict?: string | null;
  chosen?: boolean;
  go?: () => void;
}

export interface Axis {
  low: number;
  high: number;
  ticks: number[];
}

/** Round numbers between two ends, about so many. */
export function ticksOf(low: number, high: number, about = 4): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / about;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].find((factor) => factor * unit >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

/** An axis that all intervals and marks fit on, with some room; ``null`` where there is nothing to draw. */
export function axisOf(intervals: (Interval | null)[], marks: number[] = []): Axis | null {
  const found = intervals.flatMap((one) => (one ? [one.estimate, one.low, one.high] : []));
  const known = found.filter((value): value is number => value !== null && Number.isFinite(value));
  if (!known.length) return null;
  const ends = [...known, ...marks];
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const [low, high] = [least - room, most + room];
  return { low, high, ticks: ticksOf(low, high) };
}

export interface Mark {
  at: number;
  label: string;
  /** Of what is borne rather than of what is. */
  dashed?: boolean;
}

const INKS: Record<string, string> = { pass: "fg-success", warn: "fg-warning", fail: "fg-error" };

/** The ink of thin strokes, which must be seen on light and on dark; filled areas have other colours. */
export function inkOf(verdict: string | null): string {
  return colour(INKS[verdict ?? ""] ?? "fg-muted");
}

interface ForestProps {
  label: string;
  lines: Line[];
  marks?: Mark[];
  /** What lies to the left and to the right of the first mark. */
  sides?: [left: string, right: string];
  width?: number;
}

const ROW = 26;
const TOP = 22;
const LABEL = 210;
const TOLD = 250;

/** Rows from top to bottom as they are given; a row that can be gone to answers to a click and to Enter. */
export function Forest({ label, lines, marks = [], sides, width = 420 }: ForestProps) {
  const axis = axisOf(
    lines.map((line) => line.interval),
    marks.map((mark) => mark.at),
  );
  if (!axis) return null;
  const x = (value: number) => LABEL + ((value - axis.low) / (axis.high - axis.low)) * width;
  const bottom = TOP + lines.length * ROW;
  const [middle] = marks;
  const said = `${label}: ${lines.map((line) => `${line.label} ${line.told}`).join("; ")}`;
  const drawn = (
    <>
      {middle && sides && (
        <>
          <Tick x={x(middle.at) - 8} y={12} text={`← ${sides[0]}`} anchor="end" />
          <Tick x={x(middle.at) + 8} y={12} text={`${sides[1]} →`} />
        </>
      )}
      {axis.ticks.map((tick) => (
        <g key={tick}>
          <line x1={x(tick)} x2={x(tick)} y1={TOP} y2={bottom} stroke={INK.line} strokeOpacity={0.5} />
          <Tick x={x(tick)} y={bottom + 14} text={number(tick)} anchor="middle" />
        </g>
      ))}
      {marks.map((mark) => (
        <line
          key={mark.label}
          x1={x(mark.at)}
          x2={x(mark.at)}
          y1={TOP - 4}
          y2={bottom}
          stroke={colour("fg")}
          strokeOpacity={0.7}
          strokeDasharray={mark.dashed ? "4 3" : undefined}
        >
          <title>{mark.label}</title>
        </line>
      ))}
      {lines.map((line, at) => (
        <Row key={line.id} line={line} y={TOP + at * ROW} x={x} width={width} />
      ))}
    </>
  );
  // What can be clicked must not be hidden in a picture from who reads with ears.
  if (lines.some((line) => line.go)) {
    return (
      <svg
        width={LABEL + width + TOLD}
        height={bottom + 20}
        role="group"
        aria-label={label}
        style={{ display: "block" }}
      >
        {drawn}
      </svg>
    );
  }
  return (
    <Drawing width={LABEL + width + TOLD} height={bottom + 20} label={said}>
      {drawn}
    </Drawing>
  );
}

function Row({ line, y, x, width }: { line: Line; y: number; x: (value: number) => number; width: number }) {
  const { interval, verdict, chosen } = line;
  const ink = verdict === undefined ? INK.new : inkOf(verdict);
  const centre = y + ROW / 2;
  const has = interval && interval.low !== null && interval.high !== null;
  return (
    <g aria-label={`${line.label}: ${line.told}`} {...clickable(line.go)}>
      <title>{`${line.label}: ${line.told}`}</title>
      <rect
        x={0}
        y={y + 1}
        width={LABEL + width + TOLD}
        height={ROW - 2}
        rx={3}
        fill={chosen ? colour("bg-emphasized") : "transparent"}
      />
      <text x={4} y={centre + 4} style={{ fontSize: "12px" }} fill="currentColor" fontWeight={chosen ? 700 : 400}>
        {cut(line.label, 32)}
      </text>
      {has && (
        <path
          d={`M${x(interval.low ?? 0)},${centre - 5}v10M${x(interval.low ?? 0)},${centre}H${x(interval.high ?? 0)}m0,-5v10`}
          stroke={ink}
          strokeWidth={2}
          fill="none"
        />
      )}
      {interval && <rect x={x(interval.estimate) - 5} y={centre - 5} width={10} height={10} rx={2} fill={ink} />}
      <text x={LABEL + width + 12} y={centre + 4} style={{ fontSize: "12px" }} fill={INK.faint}>
        {cut(line.told, 40)}
      </text>
    </g>
  );
}
