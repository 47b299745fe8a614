// Columns within cards: which are listed, and where one of them leads. Pure.

import type { ColumnFlow, NodeColumns } from "../api/types";

/** Rows that a card lists at most; those that something flows through come first. */
export const LISTED = 12;

export interface Listed {
  names: string[];
  /** How many more the node has. */
  rest: number;
}

export interface ColumnSet {
  listed: Map<string, Listed>;
  flows: ColumnFlow[];
}

export type ColumnId = string;

export function columnId(node: string, column: string): ColumnId {
  return `${node}\n${column}`;
}

/** What cards list of their columns; one that is asked for is listed whatever its place. */
export function columnSet(all: NodeColumns[], flows: ColumnFlow[], asked?: ColumnId): ColumnSet {
  const used = new Set<ColumnId>(asked ? [asked] : []);
  for (const flow of flows) {
    used.add(columnId(flow.src, flow.src_column));
    used.add(columnId(flow.dst, flow.dst_column));
  }
  const listed = new Map<string, Listed>();
  for (const { node, columns, total } of all) {
    const names = columns.map((column) => column.name);
    const first = names.filter((name) => used.has(columnId(node, name)));
    const rest = names.filter((name) => !used.has(columnId(node, name)));
    const shown = [...first, ...rest].slice(0, Math.max(LISTED, asked ? first.length : 0));
    if (asked && first.some((name) => columnId(node, name) === asked) && !shown.includes(asked.split("\n")[1] ?? "")) {
      shown[shown.length - 1] = asked.split("\n")[1] ?? "";
    }
    listed.set(node, { names: shown, rest: total - shown.length });
  }
  return { listed, flows };
}

export interface Traced {
  columns: Set<ColumnId>;
  flows: Set<ColumnFlow>;
}

/** Everything a column was made from or decided by, and everything it went into, among the flows that are shown. */
export function traced(flows: ColumnFlow[], start: ColumnId): Traced {
  const result: Traced = { columns: new Set([start]), flows: new Set() };
  for (const [near, far] of [
    ["dst", "src"],
    ["src", "dst"],
  ] as const) {
    const from = new Map<string, ColumnFlow[]>();
    for (const flow of flows) from.set(flow[near], [...(from.get(flow[near]) ?? []), flow]);
    const reached = new Set([start]);
    for (const one of reached) {
      const [node = "", name = ""] = one.split("\n");
      for (const flow of from.get(node) ?? []) {
        const here = flow[`${near}_column`];
        // An empty name is every column of its node.
        if (name && here !== name && here !== "") continue;
        result.flows.add(flow);
        reached.add(columnId(flow[far], flow[`${far}_column`]));
      }
    }
    for (const one of reached) result.columns.add(one);
  }
  return result;
}

export function flowWords(flow: ColumnFlow): string {
  const how = flow.kind === "direct" ? "goes into" : `decides (${flow.via ?? "indirectly"})`;
  const sure = `${flow.method}, ${Math.round(flow.confidence * 100)} % sure`;
  return `${flow.src_column || "every column"} ${how} ${flow.dst_column || "every column"}; ${sure}`;
}
