// Answers of the graph, with what a test says put in.

import type { ColumnFlow, LineageGraph, LineageNode } from "../../src/api/types";

const NOW = "2026-03-01T12:00:00Z";

export function node(name: string, facts: Partial<LineageNode> = {}): LineageNode {
  return {
    node: `version:${name}`,
    asset: name,
    kind: "dataset",
    title: null,
    subtype: null,
    status: "active",
    owner: null,
    source: "declared",
    number: 2,
    aliases: [],
    origin: "published",
    rows: 20,
    partition_key: null,
    at: NOW,
    last_write: NOW,
    freshness_s: null,
    stale: null,
    verdict: "pass",
    incidents: 0,
    dag_id: "shop",
    run_id: "r",
    task_id: "load",
    map_index: -1,
    job: null,
    depth: 0,
    ups: 0,
    downs: 0,
    ...facts,
  };
}

export function graph(
  nodes: LineageNode[],
  edges: [string, string][],
  facts: Partial<LineageGraph> = {},
): LineageGraph {
  return {
    by: "version",
    start: nodes[0]?.node ?? "",
    nodes,
    edges: edges.map(([src, dst]) => ({
      src: `version:${src}`,
      dst: `version:${dst}`,
      kind: "derived",
      at: NOW,
      last_at: null,
      runs: null,
      jobs: ["shop.load"],
      mapped: false,
    })),
    moments: [],
    truncated: false,
    ...facts,
  };
}

export function flow(from: string, to: string, facts: Partial<ColumnFlow> = {}): ColumnFlow {
  const [src = "", src_column = ""] = from.split(".");
  const [dst = "", dst_column = ""] = to.split(".");
  return {
    src,
    src_column,
    dst,
    dst_column,
    kind: "direct",
    via: "value",
    method: "sqlglot",
    confidence: 0.95,
    at: NOW,
    ...facts,
  };
}
