// Checks over time: a row per check, a column per verification, and the numbers behind them.

import { Box, Button, Flex, HStack, Text } from "@chakra-ui/react";
import { type CSSProperties, type ReactNode, useEffect, useRef } from "react";
import { Link, useNavigate } from "react-router-dom";
import type { CheckCell, CheckReport } from "../api/types";
import { checkName } from "../reports/body";
import { colour, look, VERDICTS } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Muted } from "../ui/pieces";
import { type Point, rangeOf, Trend } from "../ui/series";
import { cut, number, utc, words } from "../ui/words";

const CELL = 26;
const TREND = 96;

export interface CheckRow {
  id: string;
  name: string;
  type: string | null;
  cells: Map<number, CheckCell>;
}

/** One row per check, in the order of the newest report that has it. */
export function rowsOf(reports: CheckReport[]): CheckRow[] {
  const found = new Map<string, CheckRow>();
  for (const report of reports) {
    for (const check of report.checks) {
      const id = check.id ?? check.name;
      const row = found.get(id) ?? { id, name: checkName(check), type: check.type, cells: new Map() };
      row.cells.set(report.report_id, check);
      found.set(id, row);
    }
  }
  return [...found.values()];
}

function when(report: CheckReport): string {
  const what = report.version
    ? `@${report.version}`
    : `batch ${report.partition_key ?? "without a key"}, not published`;
  return `${what}, ${utc(report.created_at)} UTC`;
}

type Said = Pick<CheckCell, "name" | "type" | "verdict" | "observed" | "unit" | "threshold" | "detail">;

function cellWords(check: Said | undefined, report: CheckReport): string {
  if (!check) return `not checked in ${when(report)}`;
  const observed =
    check.observed === null || check.observed === undefined
      ? ""
      : `: ${words(check.observed)} ${check.unit ?? ""}`.trimEnd();
  const expected = check.threshold ? `, expected ${check.threshold}` : "";
  return `${checkName(check)} ${check.verdict}${observed}${expected}${check.detail ? `\n${check.detail}` : ""}\n${when(report)}`;
}

function cellStyle(verdict: string | undefined, chosen: boolean): CSSProperties {
  const filled = verdict !== undefined;
  return {
    display: "inline-flex",
    alignItems: "center",
    justifyContent: "center",
    width: CELL - 4,
    height: CELL - 4,
    margin: 2,
    borderRadius: 3,
    fontSize: 13,
    fontWeight: 700,
    color: "white",
    textDecoration: "none",
    flex: "none",
    background: filled ? look(verdict).fill : "transparent",
    border: filled ? "none" : `1px dashed ${colour("border-emphasized")}`,
    outline: chosen ? `2px solid ${colour("fg")}` : undefined,
  };
}

interface CellProps {
  name: string;
  report: CheckReport;
  check: Said | undefined;
  chosen?: boolean;
}

function Cell({ name, report, check, chosen = false }: CellProps) {
  const said = cellWords(check, report);
  return (
    <Link
      to={assetPath(name, { tab: "quality", report: report.report_id })}
      title={said}
      aria-label={said}
      style={cellStyle(check?.verdict, chosen)}
    >
      {check ? look(check.verdict).sign : ""}
    </Link>
  );
}

function Line({ head, children }: { head: ReactNode; children: ReactNode }) {
  return (
    <Flex align="center" minW="max-content">
      <Box
        w="17rem"
        flex="none"
        pr={3}
        position="sticky"
        left={0}
        bg="bg"
        zIndex={1}
        overflow="hidden"
        whiteSpace="nowrap"
      >
        {head}
      </Box>
      {children}
    </Flex>
  );
}

interface TimelineProps {
  name: string;
  reports: CheckReport[];
  rows: CheckRow[];
  chosen: number | null;
  open: Set<string>;
  toggle: (id: string) => void;
}

export function Timeline({ name, reports, rows, chosen, open, toggle }: TimelineProps) {
  const order = [...reports].reverse();
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    // The newest verification is what one came for.
    if (box.current) box.current.scrollLeft = box.current.scrollWidth;
  }, []);
  return (
    <Box ref={box} overflowX="auto" pb={2} role="region" aria-label="Checks over time" tabIndex={0}>
      <Line head={null}>
        {order.map((report) => (
          <Box
            key={report.report_id}
            w={`${CELL}px`}
            flex="none"
            textAlign="center"
            fontSize="10px"
            color="fg.muted"
            title={when(report)}
          >
            {report.version ? `@${report.version}` : "–"}
          </Box>
        ))}
      </Line>
      <Line
        head={
          <Text fontWeight="bold" fontSize="sm">
            all checks
          </Text>
        }
      >
        {order.map((report) => (
          <Cell
            key={report.report_id}
            name={name}
            report={report}
            chosen={chosen === report.report_id}
            check={wholeOf(report)}
          />
        ))}
      </Line>
      {rows.map((row) => (
        <Line key={row.id} head={<Head row={row} open={open.has(row.id)} toggle={toggle} />}>
          {order.map((report) => (
            <Cell key={report.report_id} name={name} report={report} check={row.cells.get(report.report_id)} />
          ))}
        </Line>
      ))}
      {rows
        .filter((row) => open.has(row.id))
        .map((row) => (
          <Numbers key={row.id} name={name} row={row} order={order} />
        ))}
    </Box>
  );
}

function wholeOf({ verdict, summary }: CheckReport): Said {
  return { name: "Verification", type: null, verdict, observed: null, unit: null, threshold: null, detail: summary };
}

function Head({ row, open, toggle }: { row: CheckRow; open: boolean; toggle: (id: string) => void }) {
  return (
    <Button
      size="xs"
      h={`${CELL - 4}px`}
      px={1}
      variant={open ? "subtle" : "ghost"}
      title={`${row.id}: show its numbers over time`}
      aria-pressed={open}
      onClick={() => toggle(row.id)}
    >
      {cut(row.name, 38)}
    </Button>
  );
}

/** The numbers of one check, each below the cell it belongs to. */
function Numbers({ name, row, order }: { name: string; row: CheckRow; order: CheckReport[] }) {
  const navigate = useNavigate();
  const points = order.map((report): Point & Partial<CheckCell> => {
    const check = row.cells.get(report.report_id);
    return {
      ...check,
      label: cellWords(check, report),
      go: () => navigate(assetPath(name, { tab: "quality", report: report.report_id })),
    };
  });
  const range = rangeOf(points);
  const newest = [...points].reverse().find((point) => typeof point.observed === "number");
  const expected = points.some((point) => typeof point.low === "number" || typeof point.high === "number");
  const unit = newest?.unit ? ` ${newest.unit}` : "";
  const told = newest
    ? [`now ${words(newest.observed)}${unit}`, newest.threshold && `expected ${newest.threshold}`]
    : ["observes no number"];
  const head = (
    <Flex justify="space-between" gap={2} fontSize="xs" whiteSpace="normal" h={`${TREND}px`}>
      <Box>
        <Text fontWeight="medium">{row.name}</Text>
        <Muted>{told.filter(Boolean).join(", ")}</Muted>
        {expected && <Muted>; the band is what its past foretold</Muted>}
      </Box>
      {range && (
        <Flex
          direction="column"
          justify="space-between"
          color="fg.muted"
          fontSize="10px"
          whiteSpace="nowrap"
          textAlign="end"
        >
          {[range[1], range[0]].map((value, at) => (
            <span key={at}>{number(Number(value.toPrecision(3)))}</span>
          ))}
        </Flex>
      )}
    </Flex>
  );
  return (
    <Box borderTopWidth="1px" borderColor="border" mt={2} pt={2} minW="max-content">
      <Line head={head}>
        <Trend points={points} label={row.name} step={CELL} height={TREND} />
      </Line>
    </Box>
  );
}

export function Legend() {
  return (
    <HStack gap={4} wrap="wrap" mt={1} fontSize="xs" color="fg.muted">
      {Object.entries(VERDICTS).map(([verdict, { fill, sign }]) => (
        <HStack key={verdict} gap={1}>
          <Box
            w="14px"
            h="14px"
            borderRadius="3px"
            aria-hidden
            style={{ background: fill, color: "white", textAlign: "center", lineHeight: "14px", fontWeight: 700 }}
          >
            {sign}
          </Box>
          {verdict}
        </HStack>
      ))}
      <span>– is a batch that was not published as it was</span>
    </HStack>
  );
}
