// Incidents: what went wrong, and whether somebody mended it.

import { C, h, useState } from "./host.js";
import { Go, Mark, More, Rows, State, Top } from "./pieces.js";
import { usePages } from "./reading.js";
import { assetPath, utc } from "./words.js";

export function IncidentRows({ rows }) {
  return h(Rows, {
    rows, id: "incident_id", empty: "No incident.", columns: [
      { title: "Incident", cell: (i) => `#${i.incident_id}` },
      { title: "Asset", cell: (i) => h(Go, { to: assetPath(i.asset) }, i.asset) },
      { title: "Kind", cell: (i) => i.kind },
      { title: "Severity", cell: (i) => h(Mark, { text: i.severity }) },
      { title: "State", cell: (i) => h(Mark, { text: i.state }) },
      { title: "Opened (UTC)", cell: (i) => utc(i.opened_at) },
      { title: "What", cell: (i) => h(C.Box, null, h(Go, { to: assetPath(i.asset, { report: i.report_id }) }, i.title),
        i.resolution && h(C.Text, { color: "fg.muted" }, i.resolution)) },
    ],
  });
}

export function Incidents() {
  const [all, setAll] = useState(false);
  const pages = usePages(all ? "incidents" : "incidents?state=open");
  return h(C.Box, null,
    h(Top, { here: "incidents" }),
    h(C.Button, { size: "sm", variant: "outline", mb: 3, onClick: () => setAll(!all) }, all ? "Only open ones" : "Resolved ones too"),
    h(State, { answer: pages }),
    !pages.loading && !pages.error && h(IncidentRows, { rows: pages.items }),
    h(More, { pages }));
}
