// Trials of a tuning: each a point of quality and latency, and the front that none beats in both.

import { Box, Text } from "@chakra-ui/react";
import { isObject, type Json } from "../reports/body";
import { colour, Drawing, INK, Tick } from "../ui/charts";
import { type Column, Mark, Note, Rows, Section } from "../ui/pieces";
import { number, words } from "../ui/words";
import { axisOf } from "./forest";

export interface Trial {
  number: number;
  state: string;
  metric: number | null;
  latency: number | null;
  epochs: number;
  seconds: number;
  params: Json;
  why: string | null;
}

const finite = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** The trials of a report's body, in the order they were begun. */
export function trialsOf(body: Json): Trial[] {
  return (Array.isArray(body.trials) ? body.trials.filter(isObject) : []).map((one) => ({
    number: finite(one.number) ?? 0,
    state: words(one.state),
    metric: finite(one.metric),
    latency: finite(one.latency_ms),
    epochs: finite(one.epochs) ?? 0,
    seconds: finite(one.seconds) ?? 0,
    params: isObject(one.params) ? one.params : {},
    why: typeof one.why === "string" ? one.why : null,
  }));
}

const WIDTH = 520;
const HEIGHT = 260;
const LEFT = 64;
const BOTTOM = 40;

interface ScatterProps {
  points: { number: number; x: number; y: number }[];
  front: number[];
  best: number | null;
  across: string;
  up: string;
}

/** Points, the front among them joined by a line; every point says its numbers. */
export function Scatter({ points, front, best, across, up }: ScatterProps) {
  const flat = (value: number) => ({ estimate: value, low: null, high: null });
  const horizontal = axisOf(points.map((one) => flat(one.x)));
  const vertical = axisOf(points.map((one) => flat(one.y)));
  if (!horizontal || !vertical) return null;
  const x = (value: number) => LEFT + ((value - horizontal.low) / (horizontal.high - horizontal.low)) * WIDTH;
  const y = (value: number) => HEIGHT - ((value - vertical.low) / (vertical.high - vertical.low)) * HEIGHT + 10;
  const on = points.filter((one) => front.includes(one.number)).sort((a, b) => a.x - b.x);
  const told = on.map((one) => `trial ${one.number}: ${up} ${number(one.y)}, ${across} ${number(one.x)}`).join("; ");
  return (
    <Drawing
      width={LEFT + WIDTH + 20}
      height={HEIGHT + BOTTOM + 10}
      label={`${up} and ${across}. On the front: ${told}`}
    >
      {horizontal.ticks.map((tick) => (
        <g key={`x ${tick}`}>
          <line x1={x(tick)} x2={x(tick)} y1={10} y2={HEIGHT + 10} stroke={INK.line} strokeOpacity={0.5} />
          <Tick x={x(tick)} y={HEIGHT + 24} text={number(tick)} anchor="middle" />
        </g>
      ))}
      {vertical.ticks.map((tick) => (
        <g key={`y ${tick}`}>
          <line x1={LEFT} x2={LEFT + WIDTH} y1={y(tick)} y2={y(tick)} stroke={INK.line} strokeOpacity={0.5} />
          <Tick x={LEFT - 6} y={y(tick) + 4} text={number(tick)} anchor="end" />
        </g>
      ))}
      <Tick x={LEFT + WIDTH} y={HEIGHT + 40} text={`${across} →`} anchor="end" />
      <Tick x={LEFT} y={6} text={`${up} ↑`} />
      <path
        d={on.map((one, place) => `${place ? "L" : "M"}${x(one.x)},${y(one.y)}`).join("")}
        stroke={INK.new}
        strokeWidth={2}
        fill="none"
      />
      {points.map((one) => (
        <circle
          key={one.number}
          cx={x(one.x)}
          cy={y(one.y)}
          r={one.number === best ? 7 : 4.5}
          fill={front.includes(one.number) ? INK.new : colour("bg-emphasized")}
          stroke={one.number === best ? colour("fg") : INK.faint}
          strokeWidth={one.number === best ? 2.5 : 1}
        >
          <title>{`trial ${one.number}${one.number === best ? ", chosen" : ""}: ${up} ${number(one.y)}, ${across} ${number(one.x)}`}</title>
        </circle>
      ))}
    </Drawing>
  );
}

/** All trials of a tuning report, drawn and listed. */
export function Trials({ body }: { body: Json }) {
  const trials = trialsOf(body);
  const front = (Array.isArray(body.front) ? body.front : []).filter((one): one is number => typeof one === "number");
  const best = finite(body.best);
  const metric = words(body.metric ?? "metric").replaceAll("_", " ");
  const known = trials.filter((one) => one.metric !== null);
  const timed = known.some((one) => one.latency !== null);
  const points = known
    .filter((one) => !timed || one.latency !== null)
    .map((one) => ({ number: one.number, x: timed ? (one.latency ?? 0) : one.number, y: one.metric ?? 0 }));
  const names = [...new Set(trials.flatMap((one) => Object.keys(one.params)))];
  const columns: Column<Trial>[] = [
    { title: "Trial", right: true, cell: (t) => String(t.number) },
    { title: "State", cell: (t) => <Mark text={t.number === best ? "chosen" : t.state} title={t.why ?? undefined} /> },
    { title: metric, right: true, cell: (t) => (t.metric === null ? "-" : number(t.metric)) },
    ...(timed
      ? [{ title: "Latency, ms", right: true, cell: (t: Trial) => (t.latency === null ? "-" : number(t.latency)) }]
      : []),
    { title: "On the front", cell: (t) => (front.includes(t.number) ? "yes" : "") },
    ...names.map((name): Column<Trial> => ({
      title: name.replace("module_arguments.", ""),
      right: true,
      cell: (t) => words(t.params[name]),
    })),
    { title: "Epochs", right: true, cell: (t) => String(t.epochs) },
    { title: "Seconds", right: true, cell: (t) => number(t.seconds) },
  ];
  if (!trials.length) return <Note>No trial was recorded.</Note>;
  return (
    <Box mt={3}>
      {points.length > 0 && (
        <Box overflowX="auto" tabIndex={0} role="region" aria-label="Trials drawn">
          <Scatter points={points} front={front} best={best} across={timed ? "latency, ms" : "trial"} up={metric} />
        </Box>
      )}
      {timed && front.length > 1 && (
        <Text fontSize="sm" mt={1}>
          No trial is better in both than one on the line; the chosen one is nearest to the best of both.
        </Text>
      )}
      <Section title="All trials">
        <Rows columns={columns} rows={trials} id={(t) => t.number} label="Trials" />
      </Section>
    </Box>
  );
}
