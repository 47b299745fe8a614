import { describe, expect, it } from "vitest";
import { addressOf, askedOf } from "../../src/lineage/asked";
import { fitted, toScene, zoomed } from "../../src/lineage/camera";
import { columnId, columnSet, traced } from "../../src/lineage/columns";
import { laidOut } from "../../src/lineage/layout";
import { closure, found, hidden, nodePath, pictureOf, shortName } from "../../src/lineage/model";
import { opened } from "../../src/lineage/reading";
import { boxesOf, cardsIn, hitAt, neighbour, sceneOf } from "../../src/lineage/scene";
import { flow, graph, node } from "./graph";

const AROUND = graph(
  [node("b", { ups: 1, downs: 3 }), node("a", { depth: -1, downs: 1 }), node("c", { depth: 1, ups: 1, kind: "model" })],
  [
    ["a", "b"],
    ["b", "c"],
  ],
);

describe("a picture", () => {
  it("is of several answers, each node and edge once", () => {
    const more = graph([node("b"), node("d")], [["b", "d"]]);
    const picture = pictureOf([AROUND, more, more]);
    expect([...picture.nodes.keys()]).toEqual(["version:b", "version:a", "version:c", "version:d"]);
    expect(picture.edges).toHaveLength(3);
    expect(hidden(picture, AROUND.nodes[0] as never)).toEqual({ up: 0, down: 1 });
  });

  it("says what lies below", () => {
    const picture = pictureOf([AROUND]);
    expect([...closure(["version:a"], picture.down)]).toEqual(["version:a", "version:b", "version:c"]);
    expect(found(picture, "MODEL c")).toEqual(["version:c"]);
  });

  it("names and leads to what is shown", () => {
    expect(shortName("postgres://db:5432/shop.public.orders")).toBe("shop.public.orders");
    expect(nodePath(node("rides"))).toBe("/plugin/dataml/asset/rides?version=2");
    expect(nodePath(node("rides", { node: "report:9", kind: "report" }))).toBe("/plugin/dataml/asset/rides?report=9");
    expect(nodePath(node("rides", { node: "asset:9" }))).toBe("/plugin/dataml/asset/rides");
  });
});

describe("an address", () => {
  const query = new URLSearchParams(
    "by=asset&direction=downstream&depth=5&at=2026-03-01&columns=true&node=asset:3&column=fare&trace=true&impact=true&q=x&open=asset:3,asset:4:upstream&list=true",
  );
  it("says all that is looked at", () => {
    const asked = askedOf("shop/orders", query);
    const again = askedOf("shop/orders", new URLSearchParams(addressOf(asked).split("?")[1]));
    expect(again).toEqual(asked);
    expect(asked.open.map(opened)).toEqual([
      { node: "asset:3", direction: "both" },
      { node: "asset:4", direction: "upstream" },
    ]);
  });
  it("leaves out what is usual and does not follow nonsense", () => {
    const asked = askedOf("rides", new URLSearchParams("depth=9999&direction=sideways&by=magic"));
    expect(addressOf(asked)).toBe("/plugin/dataml/lineage/rides");
  });
});

describe("columns", () => {
  const flows = [
    flow("raw.cents", "clean.fare"),
    flow("clean.fare", "mart.revenue"),
    flow("raw.id", "clean.", { kind: "indirect", via: "filter" }),
    flow("raw.name", "clean.name"),
  ];
  it("are followed up and down, through what decides every column too", () => {
    const all = traced(flows, columnId("clean", "fare"));
    expect([...all.flows].map((one) => `${one.src_column}>${one.dst_column}`).sort()).toEqual([
      "cents>fare",
      "fare>revenue",
      "id>",
    ]);
    expect(all.columns).toContain(columnId("mart", "revenue"));
  });
  it("do not lead back from an effect to its other causes", () => {
    const all = traced([...flows, flow("other.x", "mart.revenue")], columnId("raw", "cents"));
    expect(all.columns).not.toContain(columnId("other", "x"));
  });
  it("of a wide table list those first that something flows through", () => {
    const columns = Array.from({ length: 40 }, (_, at) => ({ name: `c${at}`, type: "text" }));
    const set = columnSet([{ node: "raw", total: 40, columns }], [flow("raw.c39", "clean.c39")]);
    expect(set.listed.get("raw")?.names[0]).toBe("c39");
    expect(set.listed.get("raw")).toMatchObject({ rest: 28 });
  });
});

describe("a scene", () => {
  const picture = pictureOf([AROUND]);
  const set = columnSet([{ node: "version:b", total: 2, columns: [{ name: "id" }, { name: "fare" }] }] as never, []);
  const boxes = boxesOf(picture, set);
  const scene = sceneOf(
    picture,
    laidOut(
      boxes,
      picture.edges.map((edge) => [edge.src, edge.dst]),
    ),
    set,
  );
  const spot = scene.layout.spots.get("version:b") ?? { x: 0, y: 0, width: 0, height: 0 };

  it("finds what is under a point: a card, its column, its handle", () => {
    expect(hitAt(scene, spot.x + 30, spot.y + 20)).toEqual({ node: "version:b" });
    expect(hitAt(scene, spot.x + 30, spot.y + 56 + 30)?.column).toBe(columnId("version:b", "fare"));
    expect(hitAt(scene, spot.x + spot.width, spot.y + 28)).toEqual({ node: "version:b", expand: "down" });
    expect(hitAt(scene, spot.x - 50, spot.y + 500)).toBeNull();
  });
  it("goes from card to card with the arrows", () => {
    expect(neighbour(scene, "version:b", "ArrowLeft")).toBe("version:a");
    expect(neighbour(scene, "version:b", "ArrowRight")).toBe("version:c");
    expect(neighbour(scene, "version:b", "ArrowUp")).toBeNull();
  });
  it("draws only what is in view", () => {
    const all = { left: -1e6, right: 1e6, top: -1e6, bottom: 1e6 };
    expect(cardsIn(scene, all)).toHaveLength(3);
    expect(cardsIn(scene, { ...all, right: spot.x - 10 }).map((card) => card.node.asset)).toEqual(["a"]);
  });
});

describe("a camera", () => {
  it("zooms about a point that stays where it is", () => {
    const before = { x: 10, y: 20, scale: 1 };
    const after = zoomed(before, 2, { x: 100, y: 100 });
    expect(toScene(after, 100, 100)).toEqual(toScene(before, 100, 100));
  });
  it("fits all of it in, and no larger than it is", () => {
    expect(fitted({ width: 10_000, height: 100 }, { width: 800, height: 600 }).scale).toBeLessThan(0.08);
    expect(fitted({ width: 100, height: 100 }, { width: 800, height: 600 })).toEqual({ scale: 1, x: 350, y: 250 });
  });
});
