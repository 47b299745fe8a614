// The graph as it is shown: several answers as one picture, and what lies above and below a node in it. Pure.

import type { LineageEdge, LineageGraph, LineageNode } from "../api/types";
import { assetPath, path } from "../ui/paths";
import { ago, cut, number } from "../ui/words";

export interface Picture {
  start: string;
  nodes: Map<string, LineageNode>;
  edges: LineageEdge[];
  up: Map<string, string[]>;
  down: Map<string, string[]>;
}

/** Answers as one: the first says where the start is, the others add what is around nodes of it. */
export function pictureOf(graphs: LineageGraph[]): Picture {
  const nodes = new Map<string, LineageNode>();
  const edges = new Map<string, LineageEdge>();
  for (const graph of graphs) {
    for (const node of graph.nodes) if (!nodes.has(node.node)) nodes.set(node.node, node);
    for (const edge of graph.edges) edges.set(`${edge.src} ${edge.dst} ${edge.kind}`, edge);
  }
  const up = new Map<string, string[]>();
  const down = new Map<string, string[]>();
  const known = [...edges.values()].filter(({ src, dst }) => nodes.has(src) && nodes.has(dst));
  const join = (ends: Map<string, string[]>, from: string, to: string) => {
    const list = ends.get(from);
    if (list) list.push(to);
    else ends.set(from, [to]);
  };
  // Two nodes may be joined in several ways, and are neighbours once.
  const pairs = new Set<string>();
  for (const { src, dst } of known) {
    const pair = `${src} ${dst}`;
    if (pairs.has(pair)) continue;
    pairs.add(pair);
    join(down, src, dst);
    join(up, dst, src);
  }
  return { start: graphs[0]?.start ?? "", nodes, edges: known, up, down };
}

/** Everything that is reached from some nodes, themselves among it. */
export function closure(from: Iterable<string>, next: Map<string, string[]>): Set<string> {
  const found = new Set(from);
  for (const node of found) for (const end of next.get(node) ?? []) found.add(end);
  return found;
}

/** How many neighbours a node has that are not shown; 100 stands for as many or more. */
export function hidden(picture: Picture, node: LineageNode): { up: number; down: number } {
  return {
    up: Math.max(0, node.ups - (picture.up.get(node.node)?.length ?? 0)),
    down: Math.max(0, node.downs - (picture.down.get(node.node)?.length ?? 0)),
  };
}

export function counted(rest: number): string {
  return rest >= 100 ? "99+" : `+${rest}`;
}

/** What a card is called: the last part of an address is what people know it by. */
export function shortName(asset: string): string {
  const parts = asset.split("/").filter(Boolean);
  return parts.at(-1) ?? asset;
}

export function nodeLabel(node: LineageNode): string {
  if (node.title) return `${node.title} of ${node.asset}`;
  return node.number && node.node.startsWith("version:") ? `${node.asset}@${node.number}` : node.asset;
}

export function nodePath(node: LineageNode): string {
  if (node.node.startsWith("report:")) return assetPath(node.asset, { report: node.node.split(":")[1] });
  return assetPath(node.asset, { version: node.node.startsWith("version:") ? node.number : null });
}

export function aroundPath(node: LineageNode): string {
  const version = node.node.startsWith("version:") ? node.number : null;
  return path(`lineage/${encodeURIComponent(node.asset)}`, { version, by: version ? null : "asset" });
}

export function kindOf(node: LineageNode): string {
  return node.subtype ? node.subtype.replaceAll("_", " ") : node.kind;
}

/** The second line of a card. */
export function underline(node: LineageNode): string {
  const parts = [kindOf(node)];
  if (node.number) parts.push(`@${node.number}`);
  if (node.partition_key) parts.push(cut(node.partition_key, 12));
  else if (node.rows !== null) parts.push(`${number(node.rows)} rows`);
  else if (node.at) parts.push(ago(node.at));
  return parts.join(" · ");
}

/** A node in words, for who does not see the picture. */
export function spoken(picture: Picture, node: LineageNode): string {
  const [up, down] = [picture.up.get(node.node)?.length ?? 0, picture.down.get(node.node)?.length ?? 0];
  const rest = hidden(picture, node);
  return [
    nodeLabel(node),
    kindOf(node),
    node.verdict && `checks ${node.verdict}`,
    node.incidents > 0 && `${node.incidents} open incidents`,
    `${up} above, ${down} below`,
    rest.up + rest.down > 0 && "more can be shown with Enter",
  ]
    .filter(Boolean)
    .join(", ");
}

/** Nodes whose name holds some words. */
export function found(picture: Picture, text: string): string[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return [...picture.nodes.values()]
    .filter((node) => {
      const label = `${nodeLabel(node)} ${kindOf(node)} ${node.owner ?? ""} ${node.job ?? ""}`.toLowerCase();
      return words.every((word) => label.includes(word));
    })
    .map((node) => node.node);
}
