// The order within each layer: every card goes to the middle of those it is joined with, back and forth, and the
// order with the fewest crossings is kept. Pure.

import type { Links } from "./layout";

const SWEEPS = 8;

/** Crossings of edges between a layer and the one after it. */
export function crossingsBetween(upper: number[], lower: number[], down: Int32Array[], place: Int32Array): number {
  lower.forEach((node, at) => (place[node] = at));
  const inLower = new Set(lower);
  const tree = new Int32Array(lower.length + 1);
  let seen = 0;
  let found = 0;
  for (const node of upper) {
    const ends = Array.from(down[node] ?? [])
      .filter((to) => inLower.has(to))
      .map((to) => place[to] ?? 0)
      .sort((a, b) => a - b);
    for (const end of ends) {
      let before = 0;
      for (let at = end + 1; at > 0; at -= at & -at) before += tree[at] ?? 0;
      found += seen - before;
    }
    for (const end of ends) {
      for (let at = end + 1; at <= lower.length; at += at & -at) tree[at] = (tree[at] ?? 0) + 1;
      seen += 1;
    }
  }
  return found;
}

function total(layers: number[][], links: Links, place: Int32Array): number {
  let found = 0;
  for (let at = 0; at + 1 < layers.length; at += 1)
    found += crossingsBetween(layers[at] ?? [], layers[at + 1] ?? [], links.down, place);
  return found;
}

/** Orders one layer by the middles of what it is joined with; what is joined with nothing stays where it is. */
function sorted(layer: number[], joined: Int32Array[], share: Float64Array): number[] {
  const keys = layer.map((node) => {
    const ends = joined[node] ?? [];
    if (!ends.length) return share[node] ?? 0;
    let sum = 0;
    for (const end of ends) sum += share[end] ?? 0;
    return sum / ends.length;
  });
  const order = layer.map((_, at) => at).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b);
  return order.map((at) => layer[at] ?? 0);
}

/** Reorders ``layers`` in place. */
export function* crossingsReduced(layers: number[][], links: Links): Generator<undefined, void> {
  const places = links.up.length;
  const place = new Int32Array(places);
  // Where a card stands in its layer, from 0 to 1: layers of different sizes are compared.
  const share = new Float64Array(places);
  const note = (layer: number[]) => layer.forEach((node, at) => (share[node] = (at + 0.5) / layer.length));
  layers.forEach(note);
  let best = layers.map((layer) => layer.slice());
  let fewest = total(layers, links, place);
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep += 1) {
    const forth = sweep % 2 === 0;
    for (let turn = 1; turn < layers.length; turn += 1) {
      const at = forth ? turn : layers.length - 1 - turn;
      const order = sorted(layers[at] ?? [], forth ? links.up : links.down, share);
      layers[at] = order;
      note(order);
      yield;
    }
    const now = total(layers, links, place);
    if (now < fewest) {
      fewest = now;
      best = layers.map((layer) => layer.slice());
    }
    yield;
  }
  best.forEach((order, at) => (layers[at] = order));
}
