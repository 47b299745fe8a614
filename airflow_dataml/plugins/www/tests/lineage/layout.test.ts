import { describe, expect, it } from "vitest";
import { spread } from "../../src/lineage/alignment";
import { crossingsBetween } from "../../src/lineage/crossings";
import { acyclic, type Box, edgeKey, laidOut, laidOutInSlices, type Layout } from "../../src/lineage/layout";

type Edge = [string, string];

function boxes(count: number, height: (at: number) => number = () => 56): Box[] {
  return Array.from({ length: count }, (_, at) => ({ id: `n${at}`, width: 236, height: height(at) }));
}

/** The same numbers in every run. */
function dice(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % below;
  };
}

function someGraph(count: number, edges: number, seed = 7): Edge[] {
  const roll = dice(seed);
  return Array.from({ length: edges }, (): Edge => {
    const to = 1 + roll(count - 1);
    return [`n${Math.max(0, to - 1 - roll(Math.min(to, 60)))}`, `n${to}`];
  });
}

function overlapping(layout: Layout): number {
  return layout.layers.reduce(
    (sum, layer) =>
      sum + layer.filter((spot, at) => spot.y + spot.height > (layer[at + 1]?.y ?? Infinity) - 0.5).length,
    0,
  );
}

describe("the layout", () => {
  it("puts no card on another, whatever their heights", () => {
    const layout = laidOut(
      boxes(400, (at) => 56 + (at % 7) * 40),
      someGraph(400, 700),
    );
    expect(layout.spots.size).toBe(400);
    expect(overlapping(layout)).toBe(0);
    const xs = layout.layers.map((layer) => layer[0]?.x ?? 0);
    expect(xs.every((x, at) => at === 0 || x - (xs[at - 1] ?? 0) >= 236 + 40)).toBe(true);
  });

  it("leads every edge from left to right", () => {
    const edges = someGraph(300, 600);
    const { spots } = laidOut(boxes(300), edges);
    const wrong = edges.filter(
      ([from, to]) => from !== to && (spots.get(from)?.layer ?? 0) >= (spots.get(to)?.layer ?? 0),
    );
    expect(wrong).toEqual([]);
  });

  it("opens a circle where it was entered, and turns one edge of it alone", () => {
    const { spots } = laidOut(boxes(4), [
      ["n0", "n1"],
      ["n1", "n2"],
      ["n2", "n3"],
      ["n3", "n1"],
      ["n2", "n2"],
    ]);
    expect(["n0", "n1", "n2", "n3"].map((id) => spots.get(id)?.layer)).toEqual([0, 1, 2, 3]);
  });

  it("keeps no circle, whatever the edges", () => {
    const roll = dice(3);
    const edges = Array.from({ length: 300 }, (): [number, number] => [roll(60), roll(60)]);
    const left = acyclic(60, edges);
    const causes = new Map<number, number>();
    for (const [, to] of left) causes.set(to, (causes.get(to) ?? 0) + 1);
    const free = [...Array(60).keys()].filter((node) => !causes.get(node));
    for (const node of free)
      for (const [from, to] of left)
        if (from === node) {
          causes.set(to, (causes.get(to) ?? 0) - 1);
          if (!causes.get(to)) free.push(to);
        }
    expect(free).toHaveLength(60);
  });

  it("is the same for the same graph", () => {
    const [first, second] = [0, 1].map(() => laidOut(boxes(200), someGraph(200, 400)));
    expect([...(first?.spots.values() ?? [])]).toEqual([...(second?.spots.values() ?? [])]);
  });

  it("brings causes as near to their effects as they can be", () => {
    const { spots } = laidOut(boxes(4), [
      ["n0", "n1"],
      ["n1", "n2"],
      ["n3", "n2"],
    ]);
    expect(spots.get("n3")?.layer).toBe(1);
  });

  it("leads a long edge past the cards between", () => {
    const { routes, spots } = laidOut(boxes(3), [
      ["n0", "n1"],
      ["n1", "n2"],
      ["n0", "n2"],
    ]);
    const between = spots.get("n1");
    const route = routes.get(edgeKey("n0", "n2")) ?? [];
    expect(route).toHaveLength(2);
    expect(route.every(([, y]) => y < (between?.y ?? 0) || y > (between?.y ?? 0) + (between?.height ?? 0))).toBe(true);
  });

  it("untangles what can be untangled", () => {
    const { layers } = laidOut(boxes(6), [
      ["n0", "n5"],
      ["n1", "n4"],
      ["n2", "n3"],
    ]);
    const place = (id: string) => layers[1]?.findIndex((spot) => spot.id === id) ?? -1;
    const order = (layers[0] ?? []).map((spot) => place({ n0: "n5", n1: "n4", n2: "n3" }[spot.id] ?? ""));
    expect(order).toEqual([0, 1, 2]);
  });

  it("holds thousands of cards, in slices that can be called off", async () => {
    const [cards, edges] = [boxes(5000), someGraph(5000, 9000)];
    const layout = await laidOutInSlices(cards, edges, new AbortController().signal);
    expect(layout?.spots.size).toBe(5000);
    expect(layout && overlapping(layout)).toBe(0);
    const off = new AbortController();
    const stopped = laidOutInSlices(cards, edges, off.signal);
    off.abort();
    expect(await stopped).toBeNull();
  });

  it("is empty for nothing", () => {
    expect(laidOut([], [])).toMatchObject({ width: 0, height: 0 });
  });
});

describe("its parts", () => {
  it("counts crossings", () => {
    const down = [Int32Array.of(5), Int32Array.of(4), Int32Array.of(3), new Int32Array(), new Int32Array()];
    expect(crossingsBetween([0, 1, 2], [3, 4, 5], down, new Int32Array(6))).toBe(3);
    expect(crossingsBetween([2, 1, 0], [3, 4, 5], down, new Int32Array(6))).toBe(0);
  });

  it("spreads boxes as near to their wishes as their order lets them", () => {
    expect(spread([0, 100], [10, 10], [5, 5])).toEqual([0, 100]);
    expect(spread([0, 0], [10, 10], [5, 5])).toEqual([-7.5, 7.5]);
    expect(spread([50, 0, 0], [10, 10, 10], [0, 0, 0])).toEqual([20 / 3, 50 / 3, 80 / 3]);
  });
});
