// The columns of one version: how many values are missing, how they are spread.

import { Distribution, Share } from "./charts.js";
import { C, h } from "./host.js";
import { Alert, Muted, Note, Rows, State } from "./pieces.js";
import { useAnswer } from "./reading.js";
import { cut, encoded, number, share } from "./words.js";

export function extreme(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return number(value);
  const text = String(value).replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ");
  return text.length > 25 ? h("span", { title: text }, cut(text, 25)) : text;
}

function Nulls({ column }) {
  const said = `${number(column.nulls)} of its values are missing (${share(column.share)})`;
  return h(C.HStack, { gap: 2, justify: "flex-end" }, h("span", null, share(column.share)), h(Share, { value: column.share, title: said }));
}

function Shape({ column }) {
  if (column.nulls === undefined) return h(Muted, null, "not profiled");
  if (column.masked) return h(Muted, null, "masked by the contract");
  if (column.chart) return h(Distribution, { chart: column.chart, label: column.name, axis: column.chart.kind !== "values" });
  if (column.length && column.length.max !== null) return h(Muted, null, `${number(column.length.min)} to ${number(column.length.max)} characters`);
  return h(Muted, null, "-");
}

export function Profile({ asset, chosen, picker }) {
  const answer = useAnswer(chosen ? `assets/${encoded(asset.name)}/profile?version=${chosen}` : null);
  const profile = answer.data;
  const of = (cell) => (c) => (c.nulls === undefined ? "-" : cell(c));
  const columns = [
    { title: "Column", cell: (c) => h(C.Box, null, h(C.Text, { fontWeight: "medium" }, c.name), h(Muted, { fontSize: "xs" }, c.type)) },
    { title: "Missing", right: true, cell: of((c) => h(Nulls, { column: c })) },
    { title: "Distinct", right: true, cell: of((c) => `${c.sampled ? "≈ " : ""}${number(c.distinct)}`) },
    { title: "Least", right: true, cell: of((c) => extreme(c.min)) },
    { title: "Mean", right: true, cell: of((c) => h("span", { title: c.std === null || c.std === undefined ? undefined : `standard deviation ${number(c.std)}` }, number(c.mean))) },
    { title: "Most", right: true, cell: of((c) => extreme(c.max)) },
    { title: "Distribution", cell: (c) => h(Shape, { column: c }) },
  ];
  if (!chosen) return h(Note, null, "No version yet.");
  return h(C.Box, { mt: 4 },
    picker,
    h(State, { answer }),
    profile && profile.missing && h(Alert, { status: "warning", mb: 3 }, profile.missing),
    profile && h(Rows, { rows: profile.columns, id: "name", columns, empty: "The version has no columns." }),
    profile && h(Muted, { fontSize: "sm" }, `${number(profile.rows)} rows. Made when each batch was staged, and merged here; ≈ rests on a sample.`));
}
