// The answers a picture is made of: around the start, around every card that was opened, its columns, its reach.

import { useEffect, useMemo, useState } from "react";
import { at as addressAt, get } from "../api/client";
import { type Answer, useAnswer } from "../api/reading";
import type { ColumnTrace, Impact, LineageGraph } from "../api/types";
import type { Asked, Way } from "./asked";
import { columnId, columnSet, type ColumnSet } from "./columns";
import { type Picture, pictureOf } from "./model";

// Cards whose columns are asked for; the address has to hold their names.
const WITH_COLUMNS = 1200;

export function opened(entry: string): { node: string; direction: Way } {
  const [kind = "", id = "", way] = entry.split(":");
  return { node: `${kind}:${id}`, direction: way === "upstream" || way === "downstream" ? way : "both" };
}

function useOpened(asked: Asked): { graphs: LineageGraph[]; loading: boolean; error?: Error } {
  const { by, at, open } = asked;
  const key = open.join(",");
  const [held, setHeld] = useState<{ key: string; graphs: Map<string, LineageGraph>; error?: Error }>({
    key: "",
    graphs: new Map(),
  });
  const context = `${by} ${at ?? ""}`;
  useEffect(() => {
    const controller = new AbortController();
    const missing = key.split(",").filter(Boolean);
    Promise.all(
      missing.map(async (entry) => {
        const known = held.graphs.get(`${context} ${entry}`);
        const address = addressAt("/graph", { ...opened(entry), by, at, depth: 1, fan: 200, limit: 400 });
        return [`${context} ${entry}`, known ?? (await get(address, controller.signal))] as const;
      }),
    ).then(
      (all) => setHeld((old) => ({ key: `${context} ${key}`, graphs: new Map([...old.graphs, ...all]) })),
      (error: Error) => controller.signal.aborted || setHeld((old) => ({ ...old, key: `${context} ${key}`, error })),
    );
    return () => controller.abort();
    // What is held already is looked up and not waited for.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, by, at, context]);
  const graphs = useMemo(
    () => key.split(",").flatMap((entry) => held.graphs.get(`${context} ${entry}`) ?? []),
    [key, context, held],
  );
  return { graphs, loading: key !== "" && held.key !== `${context} ${key}`, error: held.error };
}

function isTrace(graph: LineageGraph | undefined): graph is ColumnTrace {
  return graph !== undefined && "flows" in graph;
}

export interface Shown extends Answer<Picture> {
  moments: string[];
  truncated: boolean;
  columns: ColumnSet | null;
  /** The way that was asked for goes from the other asset to this one. */
  backwards: boolean;
}

export function useShown(asked: Asked): Shown {
  const { name, by, version, direction, depth, at, column, node, to, trace } = asked;
  const start = { asset: name, version: by === "version" ? version : null };
  const usual = !to && !(trace && column);
  const around = useAnswer(usual ? addressAt("/graph", { ...start, by, direction, depth, at, limit: 400 }) : null, {
    keep: true,
  });
  const followed = useAnswer<LineageGraph>(
    trace && column && !to
      ? addressAt("/graph/column", { ...(node ? { node } : start), column, by, direction, depth: 20, at })
      : null,
    { keep: true },
  );
  const way = (source: string, target: string) =>
    addressAt("/graph/path", { source_asset: source, target_asset: target, by, at, depth: 20, limit: 1000 });
  const forth = useAnswer(to ? way(name, to) : null, { keep: true });
  const back = useAnswer(to && forth.data?.nodes.length === 0 ? way(to, name) : null);
  const backwards = Boolean(to && back.data?.nodes.length);
  const main: Answer<LineageGraph> = to ? (backwards ? back : forth) : trace && column ? followed : around;
  const more = useOpened(asked);
  const data = useMemo(
    () => (main.data ? pictureOf([main.data, ...more.graphs]) : undefined),
    [main.data, more.graphs],
  );
  const columns = useColumns(asked, data, main.data);
  return {
    data,
    loading: main.loading || more.loading || back.loading,
    error: main.error ?? more.error,
    moments: main.data?.moments ?? [],
    truncated: Boolean(main.data?.truncated),
    columns,
    backwards,
  };
}

function useColumns(asked: Asked, picture: Picture | undefined, main: LineageGraph | undefined): ColumnSet | null {
  const { by, at, columns, column, node, trace } = asked;
  const traced = trace && isTrace(main) ? main : null;
  // While another graph is on its way, its nodes are not known yet.
  const nodes =
    picture && columns && !traced && main?.by === by ? [...picture.nodes.keys()].slice(0, WITH_COLUMNS).join(",") : "";
  const answer = useAnswer(nodes ? addressAt("/graph/columns", { nodes, by, at }) : null, { keep: true });
  const found = traced ?? (columns ? answer.data : undefined);
  return useMemo(
    () => (found ? columnSet(found.columns, found.flows, node && column ? columnId(node, column) : undefined) : null),
    // A chosen column is listed already unless it came with the address.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [found],
  );
}

export function useImpact(asked: Asked, node: string | null): Answer<Impact> {
  return useAnswer(asked.impact && node ? addressAt("/graph/impact", { node, by: asked.by, at: asked.at }) : null);
}
