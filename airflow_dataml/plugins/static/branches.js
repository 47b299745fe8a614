// Branches: worlds beside the one everybody reads, and how far they are from it.

import { C, h, useState } from "./host.js";
import { Command, Facts, Go, Mark, More, Muted, Note, Rows, State, Top, Writer } from "./pieces.js";
import { usePages } from "./reading.js";
import { assetPath, number, utc } from "./words.js";

function At({ asset, version }) {
  return version ? h(Go, { to: assetPath(asset, { version }) }, `@${version}`) : h(Muted, null, "-");
}

function Distance({ steps, other }) {
  if (steps === null || steps === undefined) return h(Muted, { title: "a pointer was rolled back past where the branch began" }, "not known");
  return h("span", { title: `${number(steps)} versions that ${other} does not have` }, number(steps));
}

function Datasets({ branch }) {
  return h(Rows, {
    rows: branch.datasets, id: "asset", empty: "No dataset is on it.", columns: [
      { title: "Dataset", cell: (d) => h(Go, { to: assetPath(d.asset) }, d.asset) },
      { title: "Began at", cell: (d) => h(At, { asset: d.asset, version: d.base }) },
      { title: "Branch", cell: (d) => h(At, { asset: d.asset, version: d.head }) },
      { title: "Current", cell: (d) => h(At, { asset: d.asset, version: d.current }) },
      { title: "Ahead", right: true, cell: (d) => h(Distance, { steps: d.ahead, other: "everybody else" }) },
      { title: "Behind", right: true, cell: (d) => h(Distance, { steps: d.behind, other: "the branch" }) },
      { title: "Checks", cell: (d) => (d.report_id ? h(Go, { to: assetPath(d.asset, { tab: "quality", report: d.report_id }) }, h(Mark, { text: d.verdict })) : h(Muted, null, "none")) },
      { title: "Compare", cell: (d) => (d.ahead && d.current && d.head ? h(Go, { to: assetPath(d.asset, { tab: "compare", old: d.current, new: d.head }) }, "with current") : "-") },
    ],
  });
}

function Card({ branch }) {
  const open = branch.state === "open";
  const ahead = branch.datasets.some((d) => d.ahead);
  return h(C.Box, { as: "section", borderWidth: "1px", borderColor: "border.emphasized", borderRadius: "md", p: 3, mb: 3 },
    h(C.HStack, { gap: 3, mb: 2 }, h(C.Heading, { size: "md" }, branch.name), h(Mark, { text: branch.state })),
    h(Facts, {
      pairs: [["Made (UTC)", utc(branch.created_at)], ["By", h(Writer, { run: branch })], ["Schema", open ? h(C.Code, null, branch.schema) : null],
        ["Closed (UTC)", branch.closed_at && utc(branch.closed_at)]],
    }),
    open && h(C.Box, { mt: 3 }, h(Datasets, { branch })),
    open && h(C.HStack, { gap: 2, wrap: "wrap", mt: 3 },
      h(Command, null, `dataml branch diff ${branch.name}`),
      ahead && h(Command, null, `dataml branch merge ${branch.name}`),
      h(Muted, null, "A DAG runs on it with the configuration"), h(Command, null, JSON.stringify({ dataml_branch: branch.name }))));
}

export function Branches() {
  const [all, setAll] = useState(false);
  const pages = usePages(all ? "branches" : "branches?state=open");
  return h(C.Box, null,
    h(Top, { here: "branches" }),
    h(C.Button, { size: "sm", variant: "outline", mb: 3, onClick: () => setAll(!all) }, all ? "Only open ones" : "Closed ones too"),
    h(State, { answer: pages }),
    !pages.loading && !pages.error && !pages.items.length && h(Note, null, "No branch is open. `dataml branch create NAME` makes one; nothing is copied."),
    pages.items.map((branch) => h(Card, { key: branch.branch_id, branch })),
    h(More, { pages }));
}
