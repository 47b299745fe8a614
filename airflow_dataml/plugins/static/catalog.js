// The catalog: every asset, found by any word about it.

import { C, h, useMemo, useState } from "./host.js";
import { getAll, useAnswer } from "./reading.js";
import { Go, Mark, Rows, State, Top } from "./pieces.js";
import { assetPath, number, utc, words } from "./words.js";

function matches(asset, search) {
  const text = [asset.name, asset.kind, asset.owner, asset.description, asset.uri, ...(asset.tags || [])];
  const haystack = text.filter(Boolean).join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => haystack.includes(word));
}

export function Catalog() {
  const answer = useAnswer("assets", getAll);
  const [search, setSearch] = useState("");
  const found = useMemo(() => (answer.data || []).filter((asset) => matches(asset, search)), [answer.data, search]);
  const columns = [
    { title: "Name", cell: (a) => h(Go, { to: assetPath(a.name) }, a.name) },
    { title: "Kind", cell: (a) => a.kind },
    { title: "Version", right: true, cell: (a) => (a.version ? `@${a.version}` : "-") },
    { title: "Rows", right: true, cell: (a) => number(a.rows) },
    { title: "Last write (UTC)", cell: (a) => utc(a.written_at || a.last_seen) },
    { title: "Verdict", cell: (a) => h(Mark, { text: a.verdict }) },
    { title: "Open incidents", right: true, cell: (a) => (a.incidents ? h(C.Badge, { colorPalette: "red" }, a.incidents) : "-") },
    { title: "Owner", cell: (a) => words(a.owner) },
  ];
  return h(C.Box, null,
    h(Top, { here: "" }),
    h(C.Input, {
      "aria-label": "Search the catalog", placeholder: "Search name, kind, owner, tag", maxW: "28rem", mb: 3, size: "sm",
      value: search, onChange: (event) => setSearch(event.target.value),
    }),
    h(State, { answer }),
    answer.data && h(Rows, {
      columns, rows: found, id: "name",
      empty: search ? `Nothing matches "${search}".` : "The catalog is empty. It fills as DAGs publish datasets and models.",
    }));
}
