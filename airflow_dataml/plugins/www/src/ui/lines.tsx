// Several numbers over the same moments as lines on one axis, with bars they are held against.

import { clickable, colour, INK, Tick } from "./charts";
import { cut, number } from "./words";

export interface Spot {
  value: number;
  low?: number | null;
  high?: number | null;
  /** Whether it begins anew, so that no line leads to it. */
  anew?: boolean;
}

export interface Series {
  name: string;
  /** A colour token; of no meaning by itself, each line has its name at its end. */
  ink: string;
  spots: (Spot | null)[];
  heavy?: boolean;
  /** Of what is promised or borne rather than of what is; it has no dots. */
  dashed?: boolean;
}

export interface Moment {
  name: string;
  said: string;
  chosen?: boolean;
  sign?: string;
  go?: () => void;
}

interface LinesProps {
  label: string;
  /** What the numbers are. */
  unit: string;
  moments: Moment[];
  series: Series[];
  marks?: { at: number; label: string }[];
  /** Numbers that have a line across; the axis holds them all. */
  ticks?: number[];
  told?: (value: number) => string;
  /** Where a number stands on the axis; as it is where nothing is said. */
  bend?: (value: number) => number;
}

const LEFT = 70;
const RIGHT = 210;
const TOP = 24;
const TALL = 170;
const NAMES = 78;
const APART = 14;

/** Heights of labels, moved apart where they would lie over each other; in the order they came in. */
export function apart(heights: number[], least = APART): number[] {
  const order = heights.map((height, at) => ({ height, at })).sort((a, b) => a.height - b.height);
  let before = Number.NEGATIVE_INFINITY;
  const found = [...heights];
  for (const { height, at } of order) {
    before = Math.max(height, before + least);
    found[at] = before;
  }
  return found;
}

/** One stroke through what is known; a gap where nothing is, and where it begins anew. */
export function strokeOf(spots: (Spot | null)[], x: (at: number) => number, y: (value: number) => number): string {
  const parts = spots.map((spot, at) => {
    if (!spot) return "";
    const begins = at === 0 || spot.anew || !spots[at - 1];
    return `${begins ? "M" : "L"}${x(at)},${y(spot.value)}`;
  });
  return parts.join("");
}

function evenly(least: number, most: number): number[] {
  return least === most ? [least] : [least, (least + most) / 2, most];
}

export function Lines({
  label,
  unit,
  moments,
  series,
  marks = [],
  ticks,
  told = number,
  bend = (value) => value,
}: LinesProps) {
  const values = series.flatMap((one) => one.spots.flatMap((spot) => (spot ? [spot.value, spot.low, spot.high] : [])));
  const known = [...values, ...marks.map((mark) => mark.at), ...(ticks ?? [])].filter((one) => typeof one === "number");
  if (!values.some((one) => typeof one === "number")) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const [low, high] = [bend(least), bend(most)];
  const room = (high - low || 1) * 0.06;
  const step = Math.min(Math.max(640 / moments.length, 28), 150);
  const bottom = TOP + TALL;
  const end = LEFT + moments.length * step;
  const x = (at: number) => LEFT + at * step + step / 2;
  const y = (value: number) => bottom - ((bend(value) - low + room) / (high - low + 2 * room)) * TALL;
  const shown = ticks ?? evenly(least, most);
  const bars = marks.map(({ at, label: name }): Series => ({ name, ink: "fg-error", spots: [{ value: at }] }));
  const names = ends([...series, ...bars], y);
  return (
    <svg
      width={end + RIGHT}
      height={bottom + NAMES}
      role="group"
      aria-label={`${label} over ${moments.length} batches`}
      style={{ display: "block" }}
    >
      <Tick x={4} y={11} text={unit} />
      {shown.map((tick) => (
        <g key={tick}>
          <line x1={LEFT} x2={end} y1={y(tick)} y2={y(tick)} stroke={INK.line} strokeOpacity={0.5} />
          <Tick x={LEFT - 8} y={y(tick) + 3} text={told(tick)} anchor="end" />
        </g>
      ))}
      {marks.map((mark) => (
        <line
          key={mark.label}
          x1={LEFT}
          x2={end}
          y1={y(mark.at)}
          y2={y(mark.at)}
          stroke={colour("fg-error")}
          strokeWidth={1.5}
          strokeDasharray="6 4"
        />
      ))}
      {series.map((one, of) => (
        <Drawn key={one.name} one={one} dodge={dodge(series, of)} x={x} y={y} />
      ))}
      {names.map(({ name, ink, heavy, height }) => (
        <text
          key={name}
          x={end + 10}
          y={height + 4}
          style={{ fontSize: "11px" }}
          fill={colour(ink)}
          fontWeight={heavy ? 700 : 400}
        >
          {cut(name, 32)}
          <title>{name}</title>
        </text>
      ))}
      {moments.map((moment, at) => (
        <g key={at} aria-label={moment.said} aria-current={moment.chosen || undefined} {...clickable(moment.go)}>
          <title>{moment.said}</title>
          <rect
            x={LEFT + at * step + 1}
            y={TOP}
            width={step - 2}
            height={TALL}
            fill={colour("fg")}
            fillOpacity={moment.chosen ? 0.07 : 0}
          />
          <text
            transform={`translate(${x(at) + 4},${bottom + 14}) rotate(-40)`}
            textAnchor="end"
            style={{ fontSize: "11px" }}
            fontWeight={moment.chosen ? 700 : 400}
            fill="currentColor"
          >
            {cut(moment.name, 16)}
          </text>
          {moment.sign && (
            <text
              x={x(at)}
              y={TOP - 6}
              textAnchor="middle"
              style={{ fontSize: "12px" }}
              fontWeight={700}
              fill={colour("fg-error")}
            >
              {moment.sign}
            </text>
          )}
        </g>
      ))}
    </svg>
  );
}

/** Where each line's name stands: beside its last number. */
function ends(series: Series[], y: (value: number) => number) {
  const last = series.flatMap((one) => {
    const spot = [...one.spots].reverse().find((found) => found !== null);
    return spot ? [{ ...one, at: y(spot.value) }] : [];
  });
  const heights = apart(last.map((one) => one.at));
  return last.map((one, at) => ({ ...one, height: heights[at] ?? one.at }));
}

/** Intervals of two lines at the same moment stand beside each other. */
function dodge(series: Series[], of: number): number {
  const wide = series.filter((one) => one.spots.some((spot) => typeof spot?.low === "number"));
  const one = series[of];
  return one && wide.length > 1 && wide.includes(one) ? (wide.indexOf(one) - (wide.length - 1) / 2) * 12 : 0;
}

interface DrawnProps {
  one: Series;
  dodge: number;
  x: (at: number) => number;
  y: (value: number) => number;
}

function Drawn({ one, dodge: aside, x, y }: DrawnProps) {
  const ink = colour(one.ink);
  const place = (at: number) => x(at) + aside;
  return (
    <g aria-hidden>
      <path
        d={strokeOf(one.spots, place, y)}
        fill="none"
        stroke={ink}
        strokeWidth={one.heavy ? 2.5 : 1.3}
        strokeDasharray={one.dashed ? "4 3" : undefined}
      />
      {one.spots.map((spot, at) => {
        if (!spot || (one.dashed && one.spots.length > 1)) return null;
        const { low, high } = spot;
        return (
          <g key={at}>
            {typeof low === "number" && typeof high === "number" && (
              <path
                d={`M${place(at) - 4},${y(low)}h8M${place(at)},${y(low)}V${y(high)}m-4,0h8`}
                stroke={ink}
                strokeWidth={1.8}
                fill="none"
              />
            )}
            <circle cx={place(at)} cy={y(spot.value)} r={one.heavy ? 4.5 : 3} fill={ink} />
          </g>
        );
      })}
    </g>
  );
}
