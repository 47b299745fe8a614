// The DataML page on the libraries Airflow's own page has loaded. No build step: a browser takes these modules
// as they are. Airflow takes the component from the global of the app's name.

import { Asset } from "./asset.js";
import { Audit } from "./audit.js";
import { Branches } from "./branches.js";
import { Catalog } from "./catalog.js";
import { C, h, ROOT, useLocation } from "./host.js";
import { Incidents } from "./incidents.js";
import { LineagePage } from "./lineage.js";
import { QuarantinePage } from "./quarantine.js";

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function Page({ path, query }) {
  const [place, ...rest] = path.split("/").filter(Boolean);
  const name = rest.map(decoded).join("/");
  if (place === "asset" && name) return h(Asset, { key: name, name, query });
  if (place === "lineage" && name) return h(LineagePage, { key: name, name, query });
  if (place === "quarantine") return h(QuarantinePage);
  if (place === "branches") return h(Branches);
  if (place === "incidents") return h(Incidents);
  if (place === "audit") return h(Audit);
  return h(Catalog);
}

function DataML() {
  const { pathname, search } = useLocation();
  const path = pathname.slice(pathname.indexOf(ROOT) + ROOT.length);
  return h(C.Box, { p: 4, h: "full", overflowY: "auto", "data-testid": "dataml" },
    h(C.Heading, { size: "xl", mb: 3 }, "DataML"),
    h(Page, { path, query: new URLSearchParams(search) }));
}

globalThis.DataML = DataML;
