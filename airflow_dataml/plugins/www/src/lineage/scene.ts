// Cards and lines as they are drawn: where each is, and what is under a point. Pure.

import type { ColumnFlow, LineageEdge, LineageNode } from "../api/types";
import { columnId, type ColumnId, type ColumnSet, type Listed } from "./columns";
import { type Box, edgeKey, type Layout, type Point, type Spot } from "./layout";
import { hidden, type Picture } from "./model";

export const CARD = { width: 236, height: 56, row: 20, foot: 8 };

export interface Card {
  node: LineageNode;
  spot: Spot;
  columns: Listed | null;
  rest: { up: number; down: number };
}

export interface Line {
  points: Point[];
  src: string;
  dst: string;
  /** Least and most of its points, so that what is not in view is not drawn. */
  bounds: [number, number, number, number];
}

export interface EdgeLine extends Line {
  edge: LineageEdge;
}

export interface FlowLine extends Line {
  flow: ColumnFlow;
}

export interface Scene {
  picture: Picture;
  layout: Layout;
  cards: Map<string, Card>;
  lines: EdgeLine[];
  flows: FlowLine[];
  width: number;
  height: number;
}

export function rowsOf(listed: Listed | undefined): number {
  return listed ? listed.names.length + (listed.rest > 0 ? 1 : 0) : 0;
}

export function boxesOf(picture: Picture, columns: ColumnSet | null): Box[] {
  return [...picture.nodes.keys()].map((id) => {
    const rows = rowsOf(columns?.listed.get(id));
    return { id, width: CARD.width, height: CARD.height + (rows ? rows * CARD.row + CARD.foot : 0) };
  });
}

function bounded(line: Omit<Line, "bounds">): Line {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of line.points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return { ...line, bounds: [left - 40, top - 4, right + 40, bottom + 4] };
}

/** How far below its card's top a column stands; an empty name is the card's head. */
function rowTop(columns: Listed | null, name: string): number | null {
  if (!name) return CARD.height / 2;
  const at = columns?.names.indexOf(name) ?? -1;
  return at < 0 ? null : CARD.height + at * CARD.row + CARD.row / 2;
}

export function sceneOf(picture: Picture, layout: Layout, columns: ColumnSet | null): Scene {
  const cards = new Map<string, Card>();
  for (const [id, node] of picture.nodes) {
    const spot = layout.spots.get(id);
    if (spot) cards.set(id, { node, spot, columns: columns?.listed.get(id) ?? null, rest: hidden(picture, node) });
  }
  const ends = (src: string, dst: string) => [cards.get(src), cards.get(dst)] as const;
  const lines = picture.edges.flatMap((edge): EdgeLine[] => {
    const [from, to] = ends(edge.src, edge.dst);
    if (!from || !to) return [];
    const points: Point[] = [
      [from.spot.x + from.spot.width, from.spot.y + CARD.height / 2],
      ...(layout.routes.get(edgeKey(edge.src, edge.dst)) ?? []),
      [to.spot.x, to.spot.y + CARD.height / 2],
    ];
    return [{ ...bounded({ points, src: edge.src, dst: edge.dst }), edge }];
  });
  const flows = (columns?.flows ?? []).flatMap((flow): FlowLine[] => {
    const [from, to] = ends(flow.src, flow.dst);
    if (!from || !to) return [];
    const [top, bottom] = [rowTop(from.columns, flow.src_column), rowTop(to.columns, flow.dst_column)];
    if (top === null || bottom === null) return [];
    const points: Point[] = [
      [from.spot.x + from.spot.width, from.spot.y + top],
      [to.spot.x, to.spot.y + bottom],
    ];
    return [{ ...bounded({ points, src: flow.src, dst: flow.dst }), flow }];
  });
  return { picture, layout, cards, lines, flows, width: layout.width, height: layout.height };
}

export interface View {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Cards in view, found layer by layer without looking at the others. */
export function cardsIn(scene: Scene, view: View): Card[] {
  const found: Card[] = [];
  for (const layer of scene.layout.layers) {
    const first = layer[0];
    if (!first || first.x > view.right || first.x + CARD.width < view.left) continue;
    let [low, high] = [0, layer.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const spot = layer[middle] as Spot;
      if (spot.y + spot.height < view.top) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < layer.length; at += 1) {
      const spot = layer[at] as Spot;
      if (spot.y > view.bottom) break;
      const card = scene.cards.get(spot.id);
      if (card) found.push(card);
    }
  }
  return found;
}

export interface Hit {
  node: string;
  column?: ColumnId;
  /** The round handle at a side that says how many more there are. */
  expand?: "up" | "down";
}

const HANDLE = 11;

export function hitAt(scene: Scene, x: number, y: number): Hit | null {
  const near = cardsIn(scene, { left: x - HANDLE * 2, right: x + HANDLE * 2, top: y - 1, bottom: y + 1 });
  for (const { node, spot, columns, rest } of near) {
    const middle = spot.y + CARD.height / 2;
    if (rest.up && Math.hypot(x - spot.x, y - middle) <= HANDLE) return { node: node.node, expand: "up" };
    if (rest.down && Math.hypot(x - spot.x - spot.width, y - middle) <= HANDLE)
      return { node: node.node, expand: "down" };
    if (x < spot.x || x > spot.x + spot.width || y < spot.y || y > spot.y + spot.height) continue;
    const row = Math.floor((y - spot.y - CARD.height) / CARD.row);
    const name = row >= 0 ? columns?.names[row] : undefined;
    return { node: node.node, ...(name ? { column: columnId(node.node, name) } : {}) };
  }
  return null;
}

/** The card one goes to from another with an arrow key. */
export function neighbour(scene: Scene, from: string, key: string): string | null {
  const card = scene.cards.get(from);
  if (!card) return null;
  if (key === "ArrowUp" || key === "ArrowDown") {
    const layer = scene.layout.layers[card.spot.layer] ?? [];
    const at = layer.findIndex((spot) => spot.id === from);
    return layer[at + (key === "ArrowUp" ? -1 : 1)]?.id ?? null;
  }
  const ends = (key === "ArrowLeft" ? scene.picture.up : scene.picture.down).get(from) ?? [];
  const y = card.spot.y;
  const nearest = ends
    .flatMap((id) => scene.cards.get(id) ?? [])
    .sort((a, b) => Math.abs(a.spot.y - y) - Math.abs(b.spot.y - y))[0];
  return nearest?.node.node ?? null;
}
