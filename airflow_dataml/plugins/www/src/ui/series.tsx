// Numbers against what was expected of them: one, or many over time.

import { clickable, Drawing, INK, look } from "./charts";
import { number } from "./words";

type Maybe = number | null | undefined;
const isNumber = (value: unknown): value is number => typeof value === "number";

interface GaugeProps {
  observed: unknown;
  low: unknown;
  high: unknown;
  verdict: string;
  width?: number;
}

/** Where an observed number lies to what was expected of it. */
export function Gauge({ observed, low, high, verdict, width = 180 }: GaugeProps) {
  const known = [observed, low, high].filter(isNumber);
  if (!isNumber(observed) || known.length < 2) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const room = (most - least || 1) * 0.15;
  const x = (value: number) => ((value - least + room) / (most - least + 2 * room)) * width;
  const [from, to] = [isNumber(low) ? x(low) : 0, isNumber(high) ? x(high) : width];
  const expected = `expected ${isNumber(low) ? `from ${number(low)} ` : ""}${isNumber(high) ? `to ${number(high)}` : "or more"}`;
  return (
    <Drawing width={width} height={16} label={`observed ${number(observed)}, ${expected}`}>
      <line x1={0} x2={width} y1={8} y2={8} stroke={INK.line} />
      <rect x={from} y={3} width={Math.max(to - from, 1)} height={10} rx={2} fill={INK.new} fillOpacity={0.3} />
      <circle cx={x(observed)} cy={8} r={4.5} fill={look(verdict).fill} />
    </Drawing>
  );
}

export interface Point {
  observed?: unknown;
  low?: Maybe;
  high?: Maybe;
  verdict?: string | null;
  label: string;
  go?: () => void;
}

/** The least and the most that a series and what was expected of it come to. */
export function rangeOf(points: Point[]): [number, number] | null {
  const numbers = points.flatMap((p) => [p.observed, p.low, p.high]).filter(isNumber);
  return numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : null;
}

/** A number over time, within what was expected of it; points oldest first. */
export function Trend({
  points,
  label,
  step = 26,
  height = 110,
}: {
  points: Point[];
  label: string;
  step?: number;
  height?: number;
}) {
  const range = rangeOf(points);
  if (!range) return null;
  const [least, most] = range;
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const [width, top, bottom] = [points.length * step, 6, height - 6];
  const x = (at: number) => at * step + step / 2;
  const y = (value: number) => bottom - ((value - least + room) / (most - least + 2 * room)) * (bottom - top);
  const spots = points.flatMap((point, at) =>
    isNumber(point.observed) ? [{ ...point, at, observed: point.observed }] : [],
  );
  const line = spots.map((spot, n) => `${n ? "L" : "M"}${x(spot.at)},${y(spot.observed)}`).join(" ");
  return (
    <svg
      width={width}
      height={height}
      role="group"
      aria-label={`${label} over ${points.length} moments`}
      style={{ display: "block" }}
    >
      {points.map((point, at) => {
        if (!isNumber(point.low) && !isNumber(point.high)) return null;
        const [from, to] = [isNumber(point.high) ? y(point.high) : top, isNumber(point.low) ? y(point.low) : bottom];
        return (
          <rect
            key={at}
            x={at * step}
            width={step}
            y={from}
            height={Math.max(to - from, 1)}
            fill={INK.new}
            fillOpacity={0.22}
          />
        );
      })}
      <path d={line} fill="none" stroke={INK.faint} strokeWidth={1.2} />
      {spots.map((spot) => (
        <circle
          key={spot.at}
          cx={x(spot.at)}
          cy={y(spot.observed)}
          r={4}
          fill={look(spot.verdict).fill}
          aria-label={spot.label}
          {...clickable(spot.go)}
        >
          <title>{spot.label}</title>
        </circle>
      ))}
    </svg>
  );
}
