// The versions of an asset, newest first: how each was made, what it weighs, who holds it.

import { C, h } from "./host.js";
import { Facts, Go, Mark, Marks, More, Muted, NodeName, Rows, Section, State, Writer } from "./pieces.js";
import { assetPath, number, size, utc, words } from "./words.js";

const MODES = {
  append: "adds a batch", replace: "everything anew", partition: "replaces one batch", merge: "inserts, updates and deletes by key",
  compact: "the same rows in fewer parts", branch: "a branch was merged", rollback: "the rows of an earlier version", adopt: "an existing table was taken over",
  snapshot: "somebody else's table as it was",
};
const STATES = {
  retained: "its rows are kept and can be read", collected: "retention gave its rows back; its facts stay", released: "its rows are with their owner",
};

function Schema({ version }) {
  if (!version.schema || !version.schema.class) return h(Muted, null, "-");
  return h(Mark, { text: version.schema.class, title: version.schema.changes.map((change) => change.sentence).join("\n") });
}

function Verdicts({ version }) {
  const found = Object.entries(version.verdicts || {}).filter(([, verdict]) => verdict);
  if (!found.length) return h(Muted, null, "-");
  return h(C.VStack, { gap: 1, align: "start" }, found.map(([of, verdict]) =>
    h(C.HStack, { key: of, gap: 1 }, h(Mark, { text: verdict }), h(Muted, { fontSize: "xs" }, of))));
}

function Kept({ version }) {
  if (!version.state) return h(Muted, null, "-");
  return h(C.Box, null, h(Mark, { text: version.state, title: STATES[version.state] }),
    (version.holders || []).map((holder) => h(C.Text, { key: holder, fontSize: "xs", color: "fg.muted" }, holder)));
}

function Size({ version }) {
  if (!version.bytes) return h(Muted, null, "-");
  const title = `${number(version.parts)} parts${version.own === null ? "" : `; collecting it alone would free ${size(version.own)}`}`;
  return h(C.Box, { title, whiteSpace: "nowrap" }, size(version.bytes),
    version.own > 0 && version.own !== version.bytes && h(C.Text, { fontSize: "xs", color: "fg.muted" }, `${size(version.own)} its own`));
}

function datasetColumns(name) {
  return [
    { title: "How", cell: (v) => h(C.Box, { title: MODES[v.mode] }, words(v.mode), v.restored && h(Muted, null, ` of ${v.restored}`), v.branch && h(Muted, null, ` ${v.branch}`)) },
    { title: "Batch", cell: (v) => words(v.partition_key) },
    { title: "Rows", right: true, cell: (v) => number(v.rows) },
    { title: "In batch", right: true, cell: (v) => number(v.batch_rows) },
    { title: "Size", right: true, cell: (v) => h(Size, { version: v }) },
    { title: "Schema", cell: (v) => h(Schema, { version: v }) },
    { title: "Kept", cell: (v) => h(Kept, { version: v }) },
    { title: "Compare", cell: (v) => (v.parent ? h(Go, { to: assetPath(name, { tab: "compare", old: v.parent, new: v.number }) }, `with @${v.parent}`) : "-") },
  ];
}

const MODEL = [{ title: "Trained on", cell: (v) => (v.dataset ? h(NodeName, { label: v.dataset }) : "-") }];

function columnsOf(name, kind, tab) {
  return [
    { title: "Version", cell: (v) => h(C.Box, null, h(Go, { to: assetPath(name, { tab, version: v.number }) }, `@${v.number}`), h(Marks, { texts: v.aliases })) },
    ...(kind === "model" ? MODEL : datasetColumns(name)),
    { title: "Verdicts", cell: (v) => h(Verdicts, { version: v }) },
    { title: "Written (UTC)", cell: (v) => h(C.Text, { whiteSpace: "nowrap" }, utc(v.created_at)) },
    { title: "By", cell: (v) => h(Writer, { run: v }) },
  ];
}

function Shown({ version }) {
  if (!version) return null;
  return h(Section, { title: `@${version.number}` }, h(Facts, {
    pairs: [
      ["Written (UTC)", utc(version.created_at)], ["By", h(Writer, { run: version })], ["Run", version.run_id], ["Parent", version.parent && `@${version.parent}`],
      ["Fingerprint", version.fingerprint && h(C.Code, { fontSize: "xs" }, version.fingerprint)], ["Parts", version.parts || null],
      ["Merged", version.merged], ["Schema", version.schema && version.schema.changes.map((change) => change.sentence).join("; ")],
    ],
  }));
}

export function VersionTable({ asset, pages, chosen, tab }) {
  const version = pages.items.find((item) => item.number === chosen);
  return h(C.Box, null,
    h(Section, { title: `Versions (${number(asset.versions)})` },
      h(State, { answer: pages }),
      !pages.loading && !pages.error && h(Rows, {
        columns: columnsOf(asset.name, asset.kind, tab), rows: pages.items, id: "number", marked: (v) => v.number === chosen,
        empty: asset.kind === "external" ? "Observed only; nothing of it is versioned here." : "No version yet.",
      }),
      h(More, { pages })),
    asset.kind !== "model" && h(Shown, { version }),
    version && version.metrics && h(Section, { title: `Metrics of @${chosen}` }, h(Facts, { pairs: Object.entries(version.metrics).sort() })));
}
