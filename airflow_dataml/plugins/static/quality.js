// The quality of a dataset over time: a row per check, a column per verification, and the numbers behind them.

import { rangeOf, Trend, VERDICTS } from "./charts.js";
import { C, h, RouterLink, useMemo, useNavigate, useState } from "./host.js";
import { Facts, Go, Mark, More, Muted, Note, Section, State } from "./pieces.js";
import { usePages } from "./reading.js";
import { checkName, ChosenReport, Reports } from "./reports.js";
import { assetPath, cut, encoded, number, utc, words } from "./words.js";

const CELL = 26;
const TREND = 96;
const OPEN = 4;

// One row per check, in the order of the newest report that has it; one cell per report, oldest first.
function rowsOf(reports) {
  const found = new Map();
  for (const report of reports) {
    for (const check of report.checks) {
      const row = found.get(check.id) || { id: check.id, name: checkName(check), type: check.type, cells: new Map() };
      row.cells.set(report.report_id, check);
      found.set(check.id, row);
    }
  }
  return [...found.values()];
}

function when(report) {
  const what = report.version ? `@${report.version}` : `batch ${report.partition_key || "without a key"}, not published`;
  return `${what}, ${utc(report.created_at)} UTC`;
}

function cellWords(check, report) {
  if (!check) return `not checked in ${when(report)}`;
  const observed = check.observed === null || check.observed === undefined ? "" : `: ${words(check.observed)} ${check.unit || ""}`.trimEnd();
  const detail = check.detail ? `\n${check.detail}` : "";
  return `${checkName(check)} ${check.verdict}${observed}${check.threshold ? `, expected ${check.threshold}` : ""}${detail}\n${when(report)}`;
}

function Cell({ name, report, check, chosen }) {
  const look = check ? VERDICTS[check.verdict] || VERDICTS.unknown : null;
  const said = cellWords(check, report);
  const style = {
    display: "inline-flex", alignItems: "center", justifyContent: "center", width: CELL - 4, height: CELL - 4, margin: 2, borderRadius: 3,
    fontSize: 13, fontWeight: 700, color: "white", textDecoration: "none", flex: "none",
    background: look ? look.fill : "transparent", border: look ? "none" : "1px dashed var(--chakra-colors-border-emphasized)",
    outline: chosen ? "2px solid var(--chakra-colors-fg)" : "none",
  };
  return h(RouterLink, { to: assetPath(name, { tab: "quality", report: report.report_id }), title: said, "aria-label": said, style }, look ? look.sign : "");
}

function Line({ head, children }) {
  return h(C.Flex, { align: "center", minW: "max-content" },
    h(C.Box, { w: "17rem", flex: "none", pr: 3, position: "sticky", left: 0, bg: "bg", zIndex: 1, overflow: "hidden", whiteSpace: "nowrap" }, head),
    children);
}

function Timeline({ name, reports, rows, chosen, open, toggle }) {
  const order = [...reports].reverse();
  const show = (box) => {
    // The newest verification is what one came for.
    if (box && !box.dataset.shown) box.scrollLeft = box.scrollWidth;
    if (box) box.dataset.shown = "yes";
  };
  return h(C.Box, { ref: show, overflowX: "auto", pb: 2 },
    h(Line, { head: null }, order.map((report) => h(C.Box, {
      key: report.report_id, w: `${CELL}px`, flex: "none", textAlign: "center", fontSize: "10px", color: "fg.muted", title: when(report),
    }, report.version ? `@${report.version}` : "–"))),
    h(Line, { head: h(C.Text, { fontWeight: "bold", fontSize: "sm" }, "all checks") }, order.map((report) =>
      h(Cell, { key: report.report_id, name, report, chosen: chosen === report.report_id, check: { name: "Verification", verdict: report.verdict, detail: report.summary } }))),
    rows.map((row) => h(Line, {
      key: row.id,
      head: h(C.Button, {
        size: "xs", h: `${CELL - 4}px`, variant: open.has(row.id) ? "subtle" : "ghost", px: 1, title: `${row.id}: show its numbers over time`,
        "aria-pressed": open.has(row.id), onClick: () => toggle(row.id),
      }, cut(row.name, 38)),
    }, order.map((report) => h(Cell, { key: report.report_id, name, report, check: row.cells.get(report.report_id) })))),
    rows.filter((row) => open.has(row.id)).map((row) => h(Numbers, { key: row.id, name, row, order })));
}

function Legend() {
  return h(C.HStack, { gap: 4, wrap: "wrap", mt: 1, fontSize: "xs", color: "fg.muted" },
    Object.entries(VERDICTS).map(([verdict, look]) => h(C.HStack, { key: verdict, gap: 1 },
      h(C.Box, { w: "14px", h: "14px", borderRadius: "3px", style: { background: look.fill, color: "white", textAlign: "center", lineHeight: "14px", fontWeight: 700 } }, look.sign), verdict)),
    h("span", null, "– is a batch that was not published as it was"));
}

// The numbers of one check, each below the cell it belongs to.
function Numbers({ name, row, order }) {
  const navigate = useNavigate();
  const points = order.map((report) => {
    const check = row.cells.get(report.report_id);
    return { ...check, label: cellWords(check, report), go: () => navigate(assetPath(name, { tab: "quality", report: report.report_id })) };
  });
  const range = rangeOf(points);
  const newest = [...points].reverse().find((point) => typeof point.observed === "number");
  const expected = points.some((point) => typeof point.low === "number" || typeof point.high === "number");
  const told = newest && [`now ${words(newest.observed)}${newest.unit ? ` ${newest.unit}` : ""}`, newest.threshold && `expected ${newest.threshold}`].filter(Boolean).join(", ");
  const head = h(C.Flex, { justify: "space-between", gap: 2, fontSize: "xs", whiteSpace: "normal", h: `${TREND}px` },
    h(C.Box, null, h(C.Text, { fontWeight: "medium" }, row.name), h(Muted, null, told || "observes no number"),
      expected && h(Muted, null, "; the band is what its past foretold")),
    range && h(C.Flex, { direction: "column", justify: "space-between", color: "fg.muted", fontSize: "10px", whiteSpace: "nowrap", textAlign: "end" },
      [range[1], range[0]].map((value, at) => h("span", { key: at }, number(Number(value.toPrecision(3)))))));
  return h(C.Box, { borderTopWidth: "1px", borderColor: "border", mt: 2, pt: 2, minW: "max-content" },
    h(Line, { head }, h(Trend, { points, label: row.name, step: CELL, height: TREND })));
}

function ContractFacts({ name, contract }) {
  if (!contract) return h(Note, null, "Nobody verified it yet. A QualityCheckOperator, or write_audit_publish, does.");
  return h(Facts, {
    pairs: [
      ["Last verification", h(C.HStack, null, h(Mark, { text: contract.verdict }), h(Go, { to: assetPath(name, { tab: "quality", report: contract.report_id }) }, `report ${contract.report_id}`))],
      ["At (UTC)", utc(contract.created_at)], ["Engine", [contract.engine, contract.engine_version].filter(Boolean).join(" ")],
      ["Checks", contract.checks], ["Contract", contract.digest && h(C.Code, null, contract.digest.slice(0, 12))],
    ],
  });
}

export function Quality({ asset, chosen, report }) {
  const pages = usePages(`assets/${encoded(asset.name)}/checks`);
  const rows = useMemo(() => rowsOf(pages.items), [pages.items]);
  const [picked, setPicked] = useState(null);
  const usual = useMemo(() => new Set(rows.filter((row) => row.type === "anomaly").slice(0, OPEN).map((row) => row.id)), [rows]);
  const open = picked || usual;
  const toggle = (id) => setPicked(new Set(open.has(id) ? [...open].filter((other) => other !== id) : [...open, id]));
  return h(C.Box, null,
    h(Section, { title: "Contract" }, h(ContractFacts, { name: asset.name, contract: asset.contract })),
    h(State, { answer: pages }),
    rows.length > 0 && h(Section, { title: "Timeline" },
      h(Timeline, { name: asset.name, reports: pages.items, rows, chosen: report, open, toggle }),
      h(Legend), h(More, { pages })),
    report && h(ChosenReport, { key: report, id: report }),
    chosen && h(Section, { title: `Reports of @${chosen}` }, h(Reports, { key: chosen, name: asset.name, version: chosen })));
}
