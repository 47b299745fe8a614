// The audit chain: who decided what, and whether nobody changed it since.

import { C, h, ROOT } from "./host.js";
import { Alert, Go, Mark, More, NodeName, Rows, State, Top } from "./pieces.js";
import { usePages } from "./reading.js";
import { number, utc, words } from "./words.js";

// What an entry is about: a version or an asset, or a branch.
function Subject({ entry }) {
  const branch = entry.action.split(" ").includes("branch");
  return branch ? h(Go, { to: `${ROOT}/branches` }, entry.subject) : h(NodeName, { label: entry.subject });
}

export function Audit() {
  const pages = usePages("audit?limit=50", "&verify=true");
  return h(C.Box, null,
    h(Top, { here: "audit" }),
    h(State, { answer: pages }),
    pages.entries !== undefined && h(Alert, { status: pages.fault ? "error" : "success", mb: 4 }, pages.fault
      ? `The audit chain is broken at ${pages.fault}.`
      : `The audit chain holds: ${number(pages.entries)} entries, recomputed just now.`),
    !pages.loading && !pages.error && h(Rows, {
      rows: pages.items, id: "seq", empty: "No decision has been taken yet.", columns: [
        { title: "Entry", right: true, cell: (a) => number(a.seq) },
        { title: "At (UTC)", cell: (a) => utc(a.at) },
        { title: "Who", cell: (a) => a.actor },
        { title: "Action", cell: (a) => h(Mark, { text: a.action }) },
        { title: "Subject", cell: (a) => h(Subject, { entry: a }) },
        { title: "Detail", cell: (a) => h(C.Text, { fontSize: "sm", color: "fg.muted", wordBreak: "break-word" }, words(a.detail)) },
      ],
    }),
    h(More, { pages }));
}
