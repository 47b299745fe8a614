// Where each card of a graph stands: layers from left to right, few crossings, no two cards on each other. Pure, the
// same for the same graph, and in steps, so that thousands of cards never hold up the page.

import { alignedLayers } from "./alignment";
import { crossingsReduced } from "./crossings";

export interface Box {
  id: string;
  width: number;
  height: number;
}

export interface Spot {
  id: string;
  x: number;
  y: number;
  width: number;
  height: number;
  layer: number;
}

export interface Layout {
  spots: Map<string, Spot>;
  /** Per layer its spots from top to bottom. */
  layers: Spot[][];
  /** Points that a long edge is led through, by {@link edgeKey}. */
  routes: Map<string, Point[]>;
  width: number;
  height: number;
}

export type Point = [x: number, y: number];

export function edgeKey(from: string, to: string): string {
  return `${from} ${to}`;
}

export const GAP = { x: 84, y: 18, dummy: 10 };
// A way over many layers is led past the cards between as long as there are not too many of them.
const LED = { span: 12, places: 20_000 };

/** What is laid out besides cards: a place an edge passes through has no card. */
export interface Place {
  at: number;
  height: number;
  card: boolean;
}

export interface Links {
  up: Int32Array[];
  down: Int32Array[];
}

/** Edges as pairs of positions, each once, none to itself, and turned round where it would close a circle. */
export function acyclic(count: number, edges: [number, number][]): [number, number][] {
  const out: number[][] = Array.from({ length: count }, () => []);
  const seen = new Set<number>();
  for (const [from, to] of edges) {
    const key = from * count + to;
    if (from === to || seen.has(key)) continue;
    seen.add(key);
    out[from]?.push(to);
  }
  const state = new Uint8Array(count);
  const found: [number, number][] = [];
  const kept = new Set<number>();
  const keep = (from: number, to: number) => {
    if (kept.has(from * count + to)) return;
    kept.add(from * count + to);
    found.push([from, to]);
  };
  const stack: [number, number][] = [];
  // Whoever has no cause comes first, so that a circle is opened where it was entered.
  const causes = new Int32Array(count);
  for (const list of out) for (const to of list) causes[to] = (causes[to] ?? 0) + 1;
  const order = [...Array(count).keys()].sort(
    (a, b) => Number((causes[a] ?? 0) > 0) - Number((causes[b] ?? 0) > 0) || a - b,
  );
  for (const first of order) {
    if (state[first]) continue;
    stack.push([first, 0]);
    state[first] = 1;
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const [node, turn] = top;
      const next = out[node]?.[turn];
      if (next === undefined) {
        state[node] = 2;
        stack.pop();
        continue;
      }
      top[1] += 1;
      if (state[next] === 1) keep(next, node);
      else keep(node, next);
      if (!state[next]) {
        state[next] = 1;
        stack.push([next, 0]);
      }
    }
  }
  return found;
}

/** The layer of each: its longest way from a cause; a cause itself stands as near to its effects as it can. */
export function layered(count: number, edges: [number, number][]): Int32Array {
  const down: number[][] = Array.from({ length: count }, () => []);
  const causes = new Int32Array(count);
  for (const [from, to] of edges) {
    down[from]?.push(to);
    causes[to] = (causes[to] ?? 0) + 1;
  }
  const layer = new Int32Array(count);
  const waits = causes.slice();
  const order: number[] = [];
  for (let node = 0; node < count; node += 1) if (!waits[node]) order.push(node);
  // Grows while it is walked.
  for (const node of order) {
    for (const to of down[node] ?? []) {
      layer[to] = Math.max(layer[to] ?? 0, (layer[node] ?? 0) + 1);
      waits[to] = (waits[to] ?? 0) - 1;
      if (!waits[to]) order.push(to);
    }
  }
  for (let turn = order.length - 1; turn >= 0; turn -= 1) {
    const node = order[turn] ?? 0;
    const ends = down[node] ?? [];
    if (ends.length && !causes[node]) layer[node] = Math.min(...ends.map((to) => layer[to] ?? 0)) - 1;
  }
  return layer;
}

interface Laid {
  /** The places an edge passes through, from its left end to its right one. */
  ways: [from: number, to: number, through: number[]][];
  places: Place[];
  layers: number[][];
  links: Links;
}

/** Cards and the places edges pass through, by layer, linked from one layer to the next. */
function led(boxes: Box[], edges: [number, number][], layer: Int32Array): Laid {
  const places: Place[] = boxes.map((box, at) => ({ at, height: box.height, card: true }));
  const layers: number[][] = [];
  const put = (place: number, on: number) => {
    while (layers.length <= on) layers.push([]);
    layers[on]?.push(place);
  };
  boxes.forEach((_, at) => put(at, layer[at] ?? 0));
  const up: number[][] = boxes.map(() => []);
  const down: number[][] = boxes.map(() => []);
  const link = (from: number, to: number) => {
    down[from]?.push(to);
    up[to]?.push(from);
  };
  const ways: Laid["ways"] = [];
  for (const [from, to] of edges) {
    const [first, last] = [layer[from] ?? 0, layer[to] ?? 0];
    let near = from;
    const through: number[] = [];
    if (last - first <= LED.span && places.length < LED.places) {
      for (let on = first + 1; on < last; on += 1) {
        const place = places.length;
        places.push({ at: place, height: 0, card: false });
        up.push([]);
        down.push([]);
        put(place, on);
        through.push(place);
        link(near, place);
        near = place;
      }
      link(near, to);
      if (through.length) ways.push([from, to, through]);
    } else {
      link(from, to);
    }
  }
  const packed = (lists: number[][]) => lists.map((list) => Int32Array.from(list));
  return { ways, places, layers, links: { up: packed(up), down: packed(down) } };
}

/** Lays out step by step; run it to its end with {@link laidOut} or in slices with {@link laidOutInSlices}. */
export function* steps(boxes: Box[], named: [from: string, to: string][]): Generator<undefined, Layout> {
  const at = new Map(boxes.map((box, position) => [box.id, position]));
  const given = named.flatMap(([from, to]): [number, number][] => {
    const [first, last] = [at.get(from), at.get(to)];
    return first === undefined || last === undefined ? [] : [[first, last]];
  });
  const edges = acyclic(boxes.length, given);
  yield;
  const layer = layered(boxes.length, edges);
  const { ways, places, layers, links } = led(boxes, edges, layer);
  yield;
  yield* crossingsReduced(layers, links);
  const y = yield* alignedLayers(layers, links, places);
  yield;
  return settled(boxes, layers, places, y, ways);
}

function settled(boxes: Box[], layers: number[][], places: Place[], y: Float64Array, ways: Laid["ways"]): Layout {
  const spots = new Map<string, Spot>();
  const found: Spot[][] = [];
  let top = Infinity;
  let bottom = -Infinity;
  let x = 0;
  const left: number[] = [];
  layers.forEach((order, layer) => {
    left.push(x);
    const cards = order.filter((place) => places[place]?.card);
    const wide = Math.max(0, ...cards.map((card) => boxes[card]?.width ?? 0));
    found.push(
      cards.map((card) => {
        const { id, width, height } = boxes[card] as Box;
        const spot = { id, x, y: y[card] ?? 0, width, height, layer };
        top = Math.min(top, spot.y);
        bottom = Math.max(bottom, spot.y + height);
        spots.set(id, spot);
        return spot;
      }),
    );
    x += wide + GAP.x;
  });
  const routes = new Map<string, Point[]>();
  if (!spots.size) return { spots, layers: found, routes, width: 0, height: 0 };
  for (const spot of spots.values()) spot.y -= top;
  for (const [from, to, through] of ways) {
    const ends = [boxes[from]?.id ?? "", boxes[to]?.id ?? ""] as const;
    const first = spots.get(ends[0])?.layer ?? 0;
    const points = through.flatMap((place, turn): Point[] => {
      const start = left[first + 1 + turn] ?? 0;
      const end = (left[first + 2 + turn] ?? x) - GAP.x;
      const height = (y[place] ?? 0) - top;
      return [
        [start, height],
        [end, height],
      ];
    });
    // An edge that was turned round is led the same way, from its other end.
    routes.set(edgeKey(ends[0], ends[1]), points);
    routes.set(edgeKey(ends[1], ends[0]), points.toReversed());
  }
  return { spots, layers: found, routes, width: x - GAP.x, height: bottom - top };
}

export function laidOut(boxes: Box[], edges: [string, string][]): Layout {
  const running = steps(boxes, edges);
  for (;;) {
    const { done, value } = running.next();
    if (done) return value;
  }
}

const SLICE_MS = 10;

/** The same, giving the page its turn in between; nothing where it was called off. */
export async function laidOutInSlices(
  boxes: Box[],
  edges: [string, string][],
  signal: AbortSignal,
): Promise<Layout | null> {
  const running = steps(boxes, edges);
  for (;;) {
    const until = performance.now() + SLICE_MS;
    while (performance.now() < until) {
      const { done, value } = running.next();
      if (done) return signal.aborted ? null : value;
    }
    await new Promise((resolve) => setTimeout(resolve));
    if (signal.aborted) return null;
  }
}
