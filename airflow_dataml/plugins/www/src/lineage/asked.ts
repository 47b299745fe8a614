// What is looked at, as the address says it: everything but where the picture was moved to.

import { useCallback, useEffect, useRef, useState } from "react";
import { path, type Query } from "../ui/paths";

export type By = "version" | "asset";
export type Way = "both" | "upstream" | "downstream";

export interface Asked {
  name: string;
  by: By;
  version: string | null;
  direction: Way;
  depth: number;
  at: string | null;
  /** Cards list their columns. */
  columns: boolean;
  node: string | null;
  column: string | null;
  /** Only what the chosen column came from and went to. */
  trace: boolean;
  /** Only ways from the start to this asset, or from it to the start. */
  to: string | null;
  impact: boolean;
  q: string;
  /** Nodes whose neighbours are shown, each perhaps with one way. */
  open: string[];
  list: boolean;
}

export type Change = (change: Partial<Asked>, how?: { push?: boolean }) => void;
export const DEPTH = { usual: 3, most: 12 };
const WAYS = ["both", "upstream", "downstream"];

export function askedOf(name: string, query: URLSearchParams): Asked {
  const depth = Number(query.get("depth"));
  const direction = query.get("direction") ?? "";
  return {
    name,
    by: query.get("by") === "asset" ? "asset" : "version",
    version: query.get("version"),
    direction: WAYS.includes(direction) ? (direction as Way) : "both",
    depth: depth >= 1 && depth <= DEPTH.most ? Math.round(depth) : DEPTH.usual,
    at: query.get("at"),
    columns: query.has("columns"),
    node: query.get("node"),
    column: query.get("column"),
    trace: query.has("trace"),
    to: query.get("to"),
    impact: query.has("impact"),
    q: query.get("q") ?? "",
    open: query.get("open")?.split(",").filter(Boolean) ?? [],
    list: query.has("list"),
  };
}

export function addressOf(asked: Asked): string {
  const query: Query = {
    version: asked.by === "version" ? asked.version : null,
    by: asked.by === "asset" ? "asset" : null,
    direction: asked.direction === "both" ? null : asked.direction,
    depth: asked.depth === DEPTH.usual ? null : asked.depth,
    at: asked.at,
    columns: asked.columns,
    node: asked.node,
    column: asked.column,
    trace: asked.trace && Boolean(asked.column),
    to: asked.to,
    impact: asked.impact,
    q: asked.q,
    open: asked.open.join(","),
    list: asked.list,
  };
  return path(`lineage/${encodeURIComponent(asked.name)}`, query);
}

/**
 * What is asked, and changing it. Airflow makes the whole page anew whenever its router goes somewhere, so the
 * address is written past the router: the picture stays where it is, and a step back still finds what was there.
 */
export function useAsked(name: string, query: URLSearchParams): [Asked, Change] {
  const given = query.toString();
  const [asked, setAsked] = useState(() => askedOf(name, query));
  const newest = useRef(asked);
  useEffect(() => {
    newest.current = askedOf(name, new URLSearchParams(given));
    setAsked(newest.current);
  }, [name, given]);
  const change: Change = useCallback((changed, { push = false } = {}) => {
    newest.current = { ...newest.current, ...changed };
    setAsked(newest.current);
    const address = new URL(addressOf(newest.current).slice(1), document.baseURI);
    const state = (history.state ?? {}) as { idx?: number };
    if (push) history.pushState({ ...state, idx: (state.idx ?? 0) + 1 }, "", address);
    else history.replaceState(state, "", address);
  }, []);
  return [asked, change];
}
