// What windows say beside their own drift, put together over time; pure.

import type { Estimate, Expected, OverTime, WindowRow } from "../api/types";
import type { Series, Spot } from "../ui/lines";
import { number } from "../ui/words";
import { windowName } from "./heat";

const INKS = ["fg-info", "orange-fg", "purple-fg", "teal-fg", "pink-fg", "cyan-fg"];
const LOSSES = ["log_loss", "mean_squared_error"];
export const ALL = "all columns together";

/** Evidence grows by hundreds once something moved; near the bar the scale is as good as even. */
export function bent(bar: number): (value: number) => number {
  return (value) => Math.asinh(value / bar);
}

/** Columns worth a line: suspects of any window first, then what has most evidence in the newest. */
export function columnsOf(windows: WindowRow[], most = INKS.length): string[] {
  const known = windows.flatMap((window) => window.watch.evidence ?? []);
  const newest = known[known.length - 1];
  const named = [...known].reverse().flatMap((one) => one.suspects);
  const ranked = Object.entries(newest?.sums ?? {}).sort(([, a], [, b]) => b - a);
  return [...new Set([...named, ...ranked.map(([name]) => name)])].slice(0, most);
}

/** The sum of each column and of all together, oldest first; it begins anew after an alarm. */
export function evidenceOf(windows: WindowRow[], columns: string[]): Series[] {
  const spots = (value: (one: OverTime) => number | null | undefined): (Spot | null)[] => {
    let before = Number.POSITIVE_INFINITY;
    return windows.map((window) => {
      const one = window.watch.evidence;
      const found = one ? value(one) : null;
      const anew = Boolean(one && one.counted && one.windows <= before);
      if (one) before = one.windows;
      return typeof found === "number" ? { value: found, anew } : null;
    });
  };
  const own = columns.map((name, at): Series => ({
    name,
    ink: INKS[at % INKS.length] ?? "fg-info",
    spots: spots((one) => one.sums[name]),
  }));
  return [...own, { name: ALL, ink: "fg", heavy: true, spots: spots((one) => one.evidence) }];
}

export function evidenceWords(window: WindowRow): string {
  const one = window.watch.evidence;
  const batch = `Batch ${windowName(window)}`;
  if (!one) return `${batch}: no evidence was summed`;
  const sums = Object.entries(one.sums)
    .slice(0, 5)
    .map(([name, sum]) => `${name} ${number(sum)}`);
  const who = one.suspects.length ? `, suspects ${one.suspects.join(", ")}` : "";
  const found = one.alarm ? `alarm${who}` : "no alarm";
  return `${batch}: evidence ${number(one.evidence)} of ${number(one.bar)}, ${found}; ${sums.join(", ")}`;
}

export interface Known {
  loss: Estimate | null;
  scored: number | null;
  labelled: number | null;
}

/** What is known of each batch by now: labels come late, and a later window has seen more of them. */
export function knownOf(windows: WindowRow[]): Map<string, Known> {
  const found = new Map<string, Known>();
  const take = (batch: string, { loss, scored, labelled }: Known) => {
    const before = found.get(batch);
    if (!before || (labelled ?? 0) >= (before.labelled ?? 0)) {
      found.set(batch, { loss: loss ?? before?.loss ?? null, scored, labelled });
    }
  };
  for (const window of windows) {
    take(windowName(window), { loss: window.now, scored: window.watch.scored, labelled: window.watch.labelled });
    for (const one of window.watch.arrived) take(one.partition_key, one);
  }
  return found;
}

/** The loss that labels would show, as it is expected without them. */
export function expectedLoss(window: WindowRow): Expected | null {
  return window.watch.expected.find((one) => LOSSES.includes(one.metric)) ?? null;
}

/** What is not watched over any of these windows, so that nobody takes silence for calm. */
export function unwatched(windows: WindowRow[]): string[] {
  const lacks: [string, (window: WindowRow) => boolean][] = [
    ["evidence over time (alarm_budget)", (w) => w.watch.evidence !== null],
    ["performance without labels", (w) => w.watch.expected.length > 0],
    ["late labels (max_label_delay)", (w) => w.watch.promised !== null],
    ["metrics of one's own (metrics)", (w) => w.watch.metrics.length > 0],
    ["attribution (explain_extremes of the scoring)", (w) => w.watch.moved !== null],
  ];
  return lacks.filter(([, has]) => !windows.some(has)).map(([name]) => name);
}
