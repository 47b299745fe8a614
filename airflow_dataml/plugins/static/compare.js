// Two versions side by side: schema, distributions, and rows as far as they are known without reading them.

import { Distribution, INK } from "./charts.js";
import { C, h, useNavigate } from "./host.js";
import { Alert, Command, Facts, Mark, Muted, Note, Rows, Section, State } from "./pieces.js";
import { extreme } from "./profile.js";
import { useAnswer, usePages } from "./reading.js";
import { Sample } from "./reports.js";
import { assetPath, count, encoded, number, share, utc, words } from "./words.js";

const PSI = { moderate: 0.1, large: 0.25 };

export function VersionPicker({ label, versions, value, choose }) {
  const known = versions.some((v) => v.number === value) || !value ? versions : [{ number: value }, ...versions];
  return h(C.HStack, { gap: 2 }, h(Muted, null, label),
    h(C.NativeSelect.Root, { size: "sm", width: "auto" },
      h(C.NativeSelect.Field, { "aria-label": label, value: value || "", onChange: (event) => choose(Number(event.target.value)) },
        !value && h("option", { value: "" }, "choose"),
        known.map((v) => h("option", { key: v.number, value: v.number }, `@${v.number}${v.created_at ? `, ${utc(v.created_at)}` : ""}`))),
      h(C.NativeSelect.Indicator)));
}

function Both({ old, now, render }) {
  const [left, right] = [old && render(old), now && render(now)];
  if (old && now && left === right) return h("span", null, left);
  return h(C.Box, null, h(C.Box, { color: "fg.muted" }, old ? left : "-"), h(C.Box, null, now ? right : "-"));
}

function Psi({ value }) {
  if (value === null || value === undefined) return h(Muted, null, "-");
  const palette = value >= PSI.large ? "red" : value >= PSI.moderate ? "orange" : "gray";
  return h(C.Badge, { colorPalette: palette, title: "population stability index: 0.1 is commonly called moderate, 0.25 large" }, value > 0 && value < 0.001 ? "< 0.001" : number(Number(value.toPrecision(2))));
}

function Columns({ found, names }) {
  const pair = (title, render) => ({ title, right: true, cell: (c) => h(Both, { old: c.old, now: c.new, render }) });
  const state = (c) => (c.old ? (c.new ? c.new.type : "gone") : `${c.new.type}, new`);
  const columns = [
    { title: "Column", cell: (c) => h(C.Box, null, h(C.Text, { fontWeight: "medium" }, c.name), h(Muted, { fontSize: "xs" }, state(c))) },
    { title: "PSI", right: true, cell: (c) => h(Psi, { value: c.psi }) },
    pair("Missing", (side) => share(side.share)), pair("Distinct", (side) => number(side.distinct)),
    pair("Least", (side) => extreme(side.min)), pair("Mean", (side) => number(side.mean)), pair("Most", (side) => extreme(side.max)),
    {
      title: "Distribution", cell: (c) => ((c.new || c.old).masked ? h(Muted, null, "masked by the contract")
        : h(Distribution, { chart: c.chart, label: c.name, names, axis: Boolean(c.chart) && c.chart.kind !== "values" })),
    },
  ];
  return h(C.Box, null,
    h(C.HStack, { gap: 4, fontSize: "sm", mb: 1 }, names.map((name, side) => h(C.HStack, { key: name, gap: 1 },
      h(C.Box, { w: "12px", h: "12px", borderRadius: "2px", style: { background: side ? INK.new : INK.old } }), name)),
    h(Muted, null, "in shares of each version's rows")),
    h(Rows, { rows: found, id: "name", columns, empty: "No column was profiled in either version." }));
}

function Changes({ schema }) {
  if (!schema.changes.length) return h(Note, null, "Both have the same columns.");
  return h(Rows, {
    id: "column", rows: schema.changes, columns: [
      { title: "Class", cell: (change) => h(Mark, { text: change.change }) },
      { title: "What", cell: (change) => change.sentence },
    ],
  });
}

// Parts are immutable: a row only one version has is in a part only that one has.
function manifestWords(manifest, old, now) {
  if (!manifest) return null;
  const { shared, old_parts: gone, old_rows: less, new_parts: came, new_rows: more } = manifest;
  if (!gone && !came) return "Both are made of the same parts, so their rows are the same.";
  if (!gone) return `${now} has all rows of ${old}, and ${count(more, "row")} more in ${count(came, "part")} of its own.`;
  if (!came) return `${old} has all rows of ${now}, and ${count(less, "row")} more in ${count(gone, "part")} of its own.`;
  return `They share ${shared ? count(shared, "part") : "no part"}. ${count(less, "row")} are in parts only ${old} has, ${number(more)} in parts only ${now} has; among these a row may be equal, changed, gone or new.`;
}

function samplesOf(kind, rows) {
  const flat = kind === "updated" ? rows.flatMap(([was, is]) => [was, is]) : rows;
  const names = [...new Set(flat.flatMap((row) => Object.keys(row)))];
  return h(C.Box, { key: kind, mt: 2 }, h(C.Text, { fontSize: "sm" }, kind === "updated" ? "updated, before and after" : kind),
    h(Sample, { columns: names, rows: flat.map((row) => names.map((name) => (row[name] === undefined ? null : row[name]))) }));
}

function StoredRows({ stored }) {
  const rows = stored.body.rows;
  if (!rows) return h(Note, null, `Rows were not compared: ${words(stored.body.unread)}.`);
  return h(C.Box, null,
    h(Facts, {
      pairs: [["Inserted", number(rows.inserted)], ["Updated", number(rows.updated)], ["Deleted", number(rows.deleted)],
        ["Matched by", (rows.keys || []).join(", ") || "whole rows"], ["Report", stored.report_id], ["At (UTC)", utc(stored.created_at)]],
    }),
    (rows.columns || []).length > 0 && h(C.Text, { mt: 2 }, `Changed values: ${rows.columns.map((c) => `${c.column} ${number(c.changed)}`).join(", ")}`),
    Object.entries(rows.samples || {}).filter(([, found]) => found.length).map(([kind, found]) => samplesOf(kind, found)));
}

function RowsOf({ found, names }) {
  if (found.equal) return h(Note, null, "Equal fingerprints: both hold the same rows.");
  const told = manifestWords(found.manifest, ...names);
  const gone = [found.old, found.new].filter((side) => side.kept === false).map((side) => side.ref);
  return h(C.Box, null,
    told && h(C.Text, { mb: 2 }, told),
    found.rows && h(StoredRows, { stored: found.rows }),
    !found.rows && (gone.length
      ? h(Muted, null, `The rows of ${gone.join(" and ")} are not kept any more, so they cannot be compared one by one.`)
      : h(C.Box, null, h(Muted, null, "The page reads the ledger alone. This compares the rows themselves: "), h(Command, null, found.command))));
}

export function Compare({ asset, chosen, query }) {
  const navigate = useNavigate();
  const pages = usePages(`assets/${encoded(asset.name)}/versions?limit=200`);
  const now = Number(query.get("new")) || chosen;
  const version = pages.items.find((v) => v.number === now);
  const older = pages.items.find((v) => v.number < now);
  const old = Number(query.get("old")) || (version && version.parent) || (older && older.number);
  const ready = old && now && old !== now;
  const answer = useAnswer(ready ? `assets/${encoded(asset.name)}/compare?old=${old}&new=${now}` : null);
  const go = (pair) => navigate(assetPath(asset.name, { tab: "compare", version: chosen, old, new: now, ...pair }));
  const found = answer.data;
  const names = [`${asset.name}@${old}`, `${asset.name}@${now}`];
  return h(C.Box, { mt: 4 },
    h(C.HStack, { gap: 4, wrap: "wrap", mb: 3 },
      h(VersionPicker, { label: "From", versions: pages.items, value: old, choose: (number_) => go({ old: number_ }) }),
      h(VersionPicker, { label: "to", versions: pages.items, value: now, choose: (number_) => go({ new: number_ }) }),
      ready && h(C.Button, { size: "sm", variant: "outline", onClick: () => go({ old: now, new: old }) }, "Swap")),
    h(State, { answer: pages.error ? pages : ready ? answer : {} }),
    !ready && !pages.loading && h(Note, null, pages.items.length > 1 ? "Choose two versions." : "There is one version alone, so nothing to compare it with."),
    found && h(C.Box, null,
      h(Facts, {
        pairs: [["Rows", `${number(found.old.rows)} → ${number(found.new.rows)}`], ["Columns", found.schema.class ? h(Mark, { text: found.schema.class }) : "the same"],
          ["Content", found.equal ? "equal" : found.old.fingerprint && found.new.fingerprint ? "differs" : "not known"]],
      }),
      h(Section, { title: "Schema" }, h(Changes, { schema: found.schema })),
      h(Section, { title: "Rows" }, h(RowsOf, { found, names })),
      h(Section, { title: "Distributions" },
        found.missing && h(Alert, { status: "warning", mb: 3 }, found.missing),
        h(Columns, { found: found.columns, names }))));
}
