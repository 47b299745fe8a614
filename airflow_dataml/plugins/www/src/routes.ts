// The pages: where each is, what it is called, and the chunk it is in. A new page is a file in pages/ and a line here.

import { type ComponentType, type LazyExoticComponent, lazy } from "react";

/** What every page is given. */
export interface PageProps {
  /** What stands behind the page's own place: the name of an asset, or nothing. */
  name: string;
  query: URLSearchParams;
}

export interface Route {
  /** First word of the address below /plugin/dataml; the catalog's is empty. */
  place: string;
  /** How it is called in the navigation; without, it is reached from other pages only. */
  title?: string;
  /** Whether it is of one thing, whose name follows its place. */
  named?: boolean;
  Page: LazyExoticComponent<ComponentType<PageProps>>;
}

export const ROUTES: Route[] = [
  { place: "", title: "Catalog", Page: lazy(() => import("./pages/catalog")) },
  { place: "asset", named: true, Page: lazy(() => import("./pages/asset")) },
  { place: "model", named: true, Page: lazy(() => import("./pages/model")) },
  { place: "lineage", title: "Lineage", Page: lazy(() => import("./pages/lineage")) },
  { place: "lineage", named: true, Page: lazy(() => import("./pages/lineage")) },
  { place: "quarantine", title: "Quarantine", Page: lazy(() => import("./pages/quarantine")) },
  { place: "branches", title: "Branches", Page: lazy(() => import("./pages/branches")) },
  { place: "incidents", title: "Incidents", Page: lazy(() => import("./pages/incidents")) },
  { place: "incident", named: true, Page: lazy(() => import("./pages/incident")) },
  { place: "delivery", title: "Delivery", Page: lazy(() => import("./pages/delivery")) },
  { place: "audit", title: "Audit", Page: lazy(() => import("./pages/audit")) },
];

export interface Found {
  route: Route;
  name: string;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The page at an address, which may hold a name with slashes; the catalog where there is none. */
export function routeOf(path: string): Found {
  const [place = "", ...rest] = path.split("/").filter(Boolean);
  const name = rest.map(decoded).join("/");
  const route = ROUTES.find((one) => one.place === place && Boolean(one.named) === Boolean(name));
  return route ? { route, name } : { route: ROUTES[0] as Route, name: "" };
}
