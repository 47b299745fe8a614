// How high each card stands: as near as it can to the middle of what it is joined with, in the order that was found
// and never on another. Per layer that is the regression under order, solved exactly by pooling neighbours. Pure.

import { GAP, type Links, type Place } from "./layout";

const ROUNDS = 6;

/** Tops for boxes in their order, as near to the wished ones as boxes that keep their distance can be. */
export function spread(wished: number[], heights: number[], gaps: number[]): number[] {
  // Without what stands above it, each box would like to be here; these must not fall.
  const offsets: number[] = [];
  let offset = 0;
  heights.forEach((height, at) => {
    offsets.push(offset);
    offset += height + (gaps[at] ?? 0);
  });
  const pools: { sum: number; size: number }[] = [];
  wished.forEach((wish, at) => {
    let pool = { sum: wish - (offsets[at] ?? 0), size: 1 };
    for (let last = pools.at(-1); last && last.sum / last.size >= pool.sum / pool.size; last = pools.at(-1)) {
      pools.pop();
      pool = { sum: pool.sum + last.sum, size: pool.size + last.size };
    }
    pools.push(pool);
  });
  const tops: number[] = [];
  for (const { sum, size } of pools)
    for (let n = 0; n < size; n += 1) tops.push(sum / size + (offsets[tops.length] ?? 0));
  return tops;
}

function middle(ends: Int32Array, y: Float64Array, places: Place[]): number | null {
  if (!ends.length) return null;
  const all = Array.from(ends, (end) => (y[end] ?? 0) + (places[end]?.height ?? 0) / 2).sort((a, b) => a - b);
  const half = all.length >> 1;
  return all.length % 2 ? (all[half] ?? 0) : ((all[half - 1] ?? 0) + (all[half] ?? 0)) / 2;
}

/** The top of every place. */
export function* alignedLayers(
  layers: number[][],
  links: Links,
  places: Place[],
): Generator<undefined, Float64Array<ArrayBuffer>> {
  const y = new Float64Array(places.length);
  const gapsOf = layers.map((layer) =>
    layer.map((place, at) => {
      const next = layer[at + 1];
      return next !== undefined && places[place]?.card && places[next]?.card ? GAP.y : GAP.dummy;
    }),
  );
  const heightsOf = layers.map((layer) => layer.map((place) => places[place]?.height ?? 0));
  layers.forEach((layer, on) => {
    const all = layer.reduce((sum, _, at) => sum + (heightsOf[on]?.[at] ?? 0) + (gapsOf[on]?.[at] ?? 0), 0);
    let top = -all / 2;
    layer.forEach((place, at) => {
      y[place] = top;
      top += (heightsOf[on]?.[at] ?? 0) + (gapsOf[on]?.[at] ?? 0);
    });
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    const forth = round % 2 === 0;
    for (let turn = 0; turn < layers.length; turn += 1) {
      const on = forth ? turn : layers.length - 1 - turn;
      const layer = layers[on] ?? [];
      const wished = layer.map((place) => {
        const [up, down] = [
          middle(links.up[place] as Int32Array, y, places),
          middle(links.down[place] as Int32Array, y, places),
        ];
        const near = forth ? (up ?? down) : (down ?? up);
        const both = round === ROUNDS - 1 && up !== null && down !== null ? (up + down) / 2 : near;
        return both === null ? (y[place] ?? 0) : both - (places[place]?.height ?? 0) / 2;
      });
      const tops = spread(wished, heightsOf[on] ?? [], gapsOf[on] ?? []);
      layer.forEach((place, at) => (y[place] = tops[at] ?? 0));
      yield;
    }
  }
  return y;
}
