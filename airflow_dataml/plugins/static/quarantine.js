// Quarantine: rows that were refused, kept with the reasons, until they are replayed or given up.

import { C, h, useState } from "./host.js";
import { Command, Go, Mark, More, Muted, NodeName, Rows, State, Top } from "./pieces.js";
import { usePages } from "./reading.js";
import { assetPath, encoded, number, share, utc } from "./words.js";

function Reasons({ reasons }) {
  const found = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
  return h(C.Box, null, found.map(([check, rows]) => h(C.HStack, { key: check, gap: 2 },
    h(C.Text, { minW: "3rem", textAlign: "end" }, number(rows)), h(C.Text, { wordBreak: "break-word" }, check))));
}

function Whereabouts({ one }) {
  if (one.state === "replayed") return h(C.Box, null, "as ", h(NodeName, { label: one.version }));
  if (one.state === "discarded") return h(Muted, null, one.note);
  return h(C.Box, { as: "details" },
    h("summary", { style: { cursor: "pointer" } }, "Commands"),
    h(C.VStack, { align: "start", gap: 1, mt: 1 },
      h(Muted, null, "Look at the rows:"), h(Command, null, `dataml quarantine rows ${one.quarantine_id}`),
      h(Muted, null, "Bring them back, in a DAG, repaired or as they are:"), h(Command, null, `replay_quarantine(dataset, contract=..., quarantine=${one.quarantine_id})`),
      h(Muted, null, "Give them up:"), h(Command, null, `dataml quarantine discard ${one.quarantine_id} --reason "..."`)));
}

export function Quarantines({ asset }) {
  const [all, setAll] = useState(Boolean(asset));
  const said = [asset && `asset=${encoded(asset)}`, !all && "state=open"].filter(Boolean).join("&");
  const pages = usePages(`quarantine${said && `?${said}`}`);
  const columns = [
    { title: "Quarantine", cell: (q) => `#${q.quarantine_id}` },
    ...(asset ? [] : [{ title: "Dataset", cell: (q) => h(Go, { to: assetPath(q.asset, { tab: "quarantine" }) }, q.asset) }]),
    { title: "Batch", cell: (q) => h(C.Box, null, q.partition_key || `part ${q.part_id}`, q.branch && h(Muted, null, ` on ${q.branch}`)) },
    { title: "Rows", right: true, cell: (q) => h("span", { title: `${share(q.rows / q.tested)} of ${number(q.tested)}` }, `${number(q.rows)} of ${number(q.tested)}`) },
    { title: "Reasons", cell: (q) => h(Reasons, { reasons: q.reasons }) },
    { title: "State", cell: (q) => h(Mark, { text: q.state }) },
    { title: "Set aside (UTC)", cell: (q) => utc(q.created_at) },
    { title: "Report", cell: (q) => (q.report_id ? h(Go, { to: assetPath(q.asset, { tab: "quality", report: q.report_id }) }, `report ${q.report_id}`) : "-") },
    { title: "What became of it", cell: (q) => h(Whereabouts, { one: q }) },
  ];
  return h(C.Box, { mt: 3 },
    h(C.Button, { size: "sm", variant: "outline", mb: 3, onClick: () => setAll(!all) }, all ? "Only open ones" : "Closed ones too"),
    h(State, { answer: pages }),
    !pages.loading && !pages.error && h(Rows, { columns, rows: pages.items, id: "quarantine_id", empty: all ? "No row was ever set aside." : "No row is set aside." }),
    h(More, { pages }));
}

export function QuarantinePage() {
  return h(C.Box, null, h(Top, { here: "quarantine" }), h(Quarantines, {}));
}
