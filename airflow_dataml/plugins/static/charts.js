// Small drawings of counts and series: inline SVG in the theme's own colours, each with its numbers as title.

import { h } from "./host.js";
import { cut, moment, number, share } from "./words.js";

const colour = (name) => `var(--chakra-colors-${name})`;
export const INK = { new: colour("fg-info"), old: colour("fg-muted"), line: colour("border-emphasized"), faint: colour("fg-muted") };
export const VERDICTS = {
  pass: { fill: colour("green-solid"), sign: "" },
  warn: { fill: colour("orange-solid"), sign: "!" },
  unknown: { fill: colour("gray-solid"), sign: "?" },
  fail: { fill: colour("red-solid"), sign: "×" },
  error: { fill: colour("purple-solid"), sign: "E" },
};

function total(counts) {
  return counts.reduce((sum, count) => sum + count, 0);
}

function edge(chart, position) {
  const value = chart.low + (position * (chart.high - chart.low)) / chart.counts[0].length;
  return chart.kind === "moment" ? moment(value, chart.high - chart.low) : number(Number(value.toPrecision(4)));
}

// Bars of one side: below the histogram, in it, above it. What lies beyond is one bar, set off by a gap.
function sharesOf(chart, side, ends) {
  const { counts, below, above } = chart;
  const sum = total(counts[side]) + below[side] + above[side] || 1;
  return [...(ends.below ? [below[side]] : []), ...counts[side], ...(ends.above ? [above[side]] : [])].map((n) => ({ n, share: n / sum }));
}

// The distribution of one column, of one version or of two over each other (the older one in grey), as shares.
export function Distribution({ chart, label, names = ["this version"], width = 220, height = 48, axis = false }) {
  if (!chart) return null;
  if (chart.kind === "values") return h(Values, { chart, label, names, width });
  const inner = Math.max(...chart.counts.map((counts) => counts.length));
  const ends = { below: total(chart.below) > 0, above: total(chart.above) > 0 };
  const bars = inner + ends.below + ends.above;
  if (!bars) return null;
  const sides = chart.counts.map((_, side) => sharesOf(chart, side, ends));
  const tallest = Math.max(...sides.flat().map((bar) => bar.share), 1e-9);
  const gap = 5, step = (width - gap * (ends.below + ends.above)) / bars;
  const first = ends.below ? 1 : 0, last = first + inner;
  const x = (bar) => bar * step + (bar >= first && ends.below ? gap : 0) + (bar >= last && ends.above ? gap : 0);
  const span = (bar) => (bar < first ? `below ${edge(chart, 0)}` : bar >= last ? `above ${edge(chart, inner)}` : `${edge(chart, bar - first)} to ${edge(chart, bar - first + 1)}`);
  const said = `${label}: ${edge(chart, 0)} to ${edge(chart, inner)}${ends.below || ends.above ? ", and beyond" : ""}`;
  const bar = (at) => ({ n, share: part }, position) => n > 0 && h("rect", {
    key: `${at} ${position}`, x: x(position) + 0.5, width: Math.max(step - 1, 1), height: Math.max((part / tallest) * height, 1),
    y: height - Math.max((part / tallest) * height, 1), fill: sides.length > 1 && at === 0 ? INK.old : INK.new,
    fillOpacity: (sides.length > 1 ? 0.55 : 0.9) * (position < first || position >= last ? 0.6 : 1),
  }, h("title", null, `${span(position)}: ${number(n)} (${share(part)}) in ${names[at]}`));
  const words = (where, text, anchor) => h("text", { x: where, y: height + 12, textAnchor: anchor, style: { fontSize: "10px" }, fill: INK.faint }, text);
  return h("svg", { width, height: height + (axis ? 16 : 0), role: "img", "aria-label": said, style: { display: "block", overflow: "visible" } },
    h("title", null, said),
    sides.map((found, at) => found.map(bar(at))),
    h("line", { x1: 0, x2: width, y1: height, y2: height, stroke: INK.line }),
    axis && words(0, ends.below ? `< ${edge(chart, 0)}` : edge(chart, 0), "start"),
    axis && words(width, ends.above ? `> ${edge(chart, inner)}` : edge(chart, inner), "end"));
}

function Values({ chart, label, names, width }) {
  const line = 15;
  const sums = chart.counts.map((counts, side) => total(counts) + chart.other[side] || 1);
  const thick = (line - 3) / chart.counts.length;
  const room = width - 70;
  return h("svg", { width, height: chart.names.length * line, role: "img", "aria-label": `${label}: shares of its values`, style: { display: "block" } },
    chart.names.map((name, row) => h("g", { key: name, transform: `translate(0,${row * line})` },
      h("title", null, `${name}: ${chart.counts.map((counts, side) => `${number(counts[row])} (${share(counts[row] / sums[side])}) in ${names[side]}`).join(", ")}`),
      h("rect", { width, height: line, fill: "transparent" }),
      h("text", { x: 0, y: 11, style: { fontSize: "11px" }, fill: "currentColor" }, cut(name, 11)),
      chart.counts.map((counts, side) => h("rect", {
        key: side, x: 70, y: 1 + side * thick, height: thick, width: counts[row] ? Math.max((counts[row] / sums[side]) * room, 1) : 0,
        fill: chart.counts.length > 1 && side === 0 ? INK.old : INK.new, fillOpacity: 0.9,
      })))));
}

// Where an observed number lies to what was expected of it.
export function Gauge({ observed, low, high, verdict, width = 180 }) {
  const known = [observed, low, high].filter((value) => typeof value === "number");
  if (typeof observed !== "number" || known.length < 2) return null;
  const least = Math.min(...known), most = Math.max(...known), room = (most - least || 1) * 0.15;
  const x = (value) => ((value - least + room) / (most - least + 2 * room)) * width;
  const from = typeof low === "number" ? x(low) : 0, to = typeof high === "number" ? x(high) : width;
  const said = `observed ${number(observed)}, expected ${typeof low === "number" ? `from ${number(low)} ` : ""}${typeof high === "number" ? `to ${number(high)}` : "or more"}`;
  return h("svg", { width, height: 16, role: "img", "aria-label": said, style: { display: "block" } }, h("title", null, said),
    h("line", { x1: 0, x2: width, y1: 8, y2: 8, stroke: INK.line }),
    h("rect", { x: from, y: 3, width: Math.max(to - from, 1), height: 10, rx: 2, fill: INK.new, fillOpacity: 0.3 }),
    h("circle", { cx: x(observed), cy: 8, r: 4.5, fill: (VERDICTS[verdict] || VERDICTS.unknown).fill }));
}

// The least and the most that a series and what was expected of it come to.
export function rangeOf(points) {
  const numbers = points.flatMap((p) => [p.observed, p.low, p.high]).filter((value) => typeof value === "number");
  return numbers.length ? [Math.min(...numbers), Math.max(...numbers)] : null;
}

// A number over time, within what was expected of it. points: [{observed, low, high, verdict, label, go}], oldest first.
export function Trend({ points, label, step = 26, height = 110 }) {
  const range = rangeOf(points);
  if (!range) return null;
  const [least, most] = range;
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const width = points.length * step, top = 6, bottom = height - 6;
  const x = (at) => at * step + step / 2;
  const y = (value) => bottom - ((value - least + room) / (most - least + 2 * room)) * (bottom - top);
  const spots = points.map((point, at) => ({ ...point, at })).filter((point) => typeof point.observed === "number");
  const band = (point) => typeof point.low === "number" || typeof point.high === "number";
  const line = spots.map((point, n) => `${n ? "L" : "M"}${x(point.at)},${y(point.observed)}`).join(" ");
  return h("svg", { width, height, role: "img", "aria-label": `${label} over ${points.length} verifications`, style: { display: "block" } },
    points.map((point, at) => band(point) && h("rect", {
      key: at, x: at * step, width: step, y: typeof point.high === "number" ? y(point.high) : top, fill: INK.new, fillOpacity: 0.22,
      height: Math.max((typeof point.low === "number" ? y(point.low) : bottom) - (typeof point.high === "number" ? y(point.high) : top), 1),
    })),
    h("path", { d: line, fill: "none", stroke: INK.faint, strokeWidth: 1.2 }),
    spots.map((point) => h("circle", {
      key: point.at, cx: x(point.at), cy: y(point.observed), r: 4, fill: (VERDICTS[point.verdict] || VERDICTS.unknown).fill,
      role: "link", tabIndex: 0, style: { cursor: "pointer" }, onClick: point.go, onKeyDown: (event) => event.key === "Enter" && point.go(),
    }, h("title", null, point.label))));
}

// A share of one as a bar beside its number.
export function Share({ value, title }) {
  return h("svg", { width: 60, height: 8, role: "img", "aria-label": title, style: { display: "inline-block" } }, h("title", null, title),
    h("rect", { width: 60, height: 8, rx: 2, fill: INK.line, fillOpacity: 0.5 }),
    h("rect", { width: value ? Math.max(60 * value, 1) : 0, height: 8, rx: 2, fill: VERDICTS.warn.fill }));
}
