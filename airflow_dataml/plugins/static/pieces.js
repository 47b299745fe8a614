// Small pieces every view is made of.

import { C, h, React, ROOT, RouterLink } from "./host.js";
import { labelPath, taskPath, words } from "./words.js";

const PALETTE = {
  pass: "green", warn: "orange", fail: "red", error: "purple", unknown: "gray",
  champion: "green", current: "green", challenger: "blue", candidate: "gray", previous: "gray",
  critical: "red", high: "red", medium: "orange", low: "gray", new: "red", acknowledged: "orange",
  assigned: "orange", resolved: "green", promote: "green", retrain: "blue", keep: "gray", wait: "gray",
  fix_data: "orange", additive: "green", compatible: "blue", breaking: "red", retained: "green", collected: "gray",
  released: "gray", open: "orange", replayed: "green", discarded: "gray", merged: "green", dropped: "gray",
};

export function Go({ to, children, ...rest }) {
  return h(C.Link, { asChild: true, color: "fg.info", ...rest }, h(RouterLink, { to }, children));
}

export function Muted({ children, ...rest }) {
  return h(C.Text, { as: "span", color: "fg.muted", ...rest }, children);
}

export function Mark({ text, title }) {
  if (!text) return h(Muted, null, "-");
  return h(C.Badge, { colorPalette: PALETTE[text] || "gray", title }, String(text).replaceAll("_", " "));
}

export function Marks({ texts }) {
  return h(C.HStack, { gap: 1, wrap: "wrap" }, (texts || []).map((text) => h(Mark, { key: text, text })));
}

export function State({ answer }) {
  if (answer.error) return h(Alert, { status: "error" }, answer.error.message);
  return answer.loading ? h(C.Spinner, { size: "sm", "aria-label": "Loading" }) : null;
}

export function Alert({ status, children, ...rest }) {
  return h(C.Alert.Root, { status, ...rest }, h(C.Alert.Indicator), h(C.Alert.Title, null, children));
}

export function Note({ children }) {
  return h(C.Text, { color: "fg.muted", py: 2 }, children);
}

export function Section({ title, children }) {
  return h(C.Box, { as: "section", mt: 6 }, h(C.Heading, { size: "md", mb: 2 }, title), children);
}

// Something to run in a terminal; one click selects all of it.
export function Command({ children }) {
  return h(C.Code, { userSelect: "all", px: 2, py: 1, whiteSpace: "pre-wrap", wordBreak: "break-word" }, children);
}

// columns: [{title, cell(row), right}]
export function Rows({ columns, rows, id, empty, marked = () => false }) {
  if (!rows.length) return h(Note, null, empty || "Nothing here yet.");
  const align = (column) => (column.right ? "end" : "start");
  return h(C.Box, { overflowX: "auto" },
    h(C.Table.Root, { size: "sm", interactive: true },
      h(C.Table.Header, null, h(C.Table.Row, null, columns.map((column) =>
        h(C.Table.ColumnHeader, { key: column.title, textAlign: align(column), whiteSpace: "nowrap" }, column.title)))),
      h(C.Table.Body, null, rows.map((row, position) =>
        h(C.Table.Row, { key: id ? row[id] : position, bg: marked(row) ? "bg.muted" : undefined }, columns.map((column) =>
          h(C.Table.Cell, { key: column.title, textAlign: align(column), verticalAlign: "top" }, column.cell(row))))))));
}

export function Facts({ pairs }) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(C.SimpleGrid, { columns: { base: 1, md: 2, xl: 3 }, gapX: 8, gapY: 1 }, known.map(([name, value]) =>
    h(C.Flex, { key: name, gap: 2 },
      h(C.Text, { color: "fg.muted", minW: "8rem" }, name),
      h(C.Box, { wordBreak: "break-word", minW: 0 }, React.isValidElement(value) ? value : words(value)))));
}

export function More({ pages }) {
  return pages.more ? h(C.Button, { size: "sm", variant: "outline", mt: 3, onClick: pages.more }, "Show older") : null;
}

// places: [[title, path]]; each is an address of its own, so that it can be sent to somebody.
export function Places({ places, here, label, ...rest }) {
  return h(C.HStack, { as: "nav", gap: 1, wrap: "wrap", "aria-label": label, ...rest }, places.map(([title, to, name]) =>
    h(C.Button, { key: name, asChild: true, size: "sm", variant: here === name ? "subtle" : "ghost" },
      h(RouterLink, { to, "aria-current": here === name ? "page" : undefined }, title))));
}

export function Top({ here }) {
  const pages = [["Catalog", ""], ["Quarantine", "quarantine"], ["Branches", "branches"], ["Incidents", "incidents"], ["Audit", "audit"]];
  const places = pages.map(([title, path]) => [title, path ? `${ROOT}/${path}` : ROOT, path]);
  return h(Places, { places, here, label: "DataML", mb: 4 });
}

export function NodeName({ label }) {
  return h(Go, { to: labelPath(label) }, label);
}

// Who wrote something: a task of a run, or a person at a terminal.
export function Writer({ run }) {
  const name = `${run.dag_id}.${run.task_id}`;
  const to = taskPath(run);
  return to ? h(Go, { to, title: run.run_id }, name) : h("span", { title: run.run_id }, name);
}
