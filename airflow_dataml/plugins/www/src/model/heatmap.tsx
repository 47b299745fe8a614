// Drift over time: verdicts, inputs and predictions of each window as cells, realised loss below them.

import { Box, Flex, HStack, Text } from "@chakra-ui/react";
import { type CSSProperties, type ReactNode, useEffect, useRef } from "react";
import { Link, useNavigate } from "react-router-dom";
import type { WindowRow } from "../api/types";
import { clickable, colour, INK, look } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Muted } from "../ui/pieces";
import { cut, number } from "../ui/words";
import { inkOf } from "./forest";
import { decayed, growth, type HeatRow, heat, shiftWords, windowName } from "./heat";

const CELL = 28;
const LOSS = 110;

const SQUARE: CSSProperties = {
  display: "inline-flex",
  alignItems: "center",
  justifyContent: "center",
  width: CELL - 4,
  height: CELL - 4,
  margin: 2,
  borderRadius: 3,
  fontSize: 13,
  fontWeight: 700,
  textDecoration: "none",
  flex: "none",
  position: "relative",
};

interface SquareProps {
  to: string;
  said: string;
  fill: string;
  /** How much of the ink is seen, from 0 to 1. */
  dark?: number;
  sign?: string;
  chosen?: boolean;
}

function Square({ to, said, fill, dark = 1, sign = "", chosen = false }: SquareProps) {
  const style = {
    ...SQUARE,
    color: "white",
    border: `1px solid ${colour("border-emphasized")}`,
    background: `color-mix(in srgb, ${fill} ${Math.round(100 * dark)}%, transparent)`,
    outline: chosen ? `2px solid ${colour("fg")}` : undefined,
  };
  return (
    <Link to={to} title={said} aria-label={said} aria-current={chosen || undefined} style={style}>
      {sign}
    </Link>
  );
}

function Line({ head, children }: { head: ReactNode; children: ReactNode }) {
  return (
    <Flex align="center" minW="max-content">
      <Box
        w="14rem"
        flex="none"
        pr={3}
        position="sticky"
        left={0}
        bg="bg"
        zIndex={1}
        overflow="hidden"
        whiteSpace="nowrap"
        fontSize="sm"
      >
        {head}
      </Box>
      {children}
    </Flex>
  );
}

interface MapProps {
  name: string;
  /** Oldest first. */
  windows: WindowRow[];
  inputs: HeatRow[];
  predictions: HeatRow[];
  chosen: number | null;
}

export function HeatMap({ name, windows, inputs, predictions, chosen }: MapProps) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    // The newest window is what one came for.
    if (box.current) box.current.scrollLeft = box.current.scrollWidth;
  }, [windows.length]);
  const to = (window: WindowRow) => assetPath(name, { tab: "monitoring", report: window.report_id });
  const cells = (row: HeatRow) =>
    windows.map((window) => {
      const shift = row.cells.get(window.report_id);
      return (
        <Square
          key={window.report_id}
          to={to(window)}
          said={shiftWords(row, window)}
          fill={shift?.drifted ? look("fail").fill : INK.new}
          dark={shift?.drifted ? 1 : 0.8 * heat(shift?.psi ?? null, window.tolerance)}
          sign={shift?.drifted ? "×" : ""}
        />
      );
    });
  return (
    <Box ref={box} overflowX="auto" pb={2} role="region" aria-label="Drift over time" tabIndex={0}>
      <Line head={null}>
        {windows.map((window) => (
          <Box
            key={window.report_id}
            w={`${CELL}px`}
            h="5.5rem"
            flex="none"
            fontSize="11px"
            color="fg.muted"
            title={windowName(window)}
            style={{ writingMode: "vertical-rl", transform: "rotate(180deg)", lineHeight: `${CELL}px` }}
          >
            {cut(windowName(window), 14)}
          </Box>
        ))}
      </Line>
      <Line head={<Text fontWeight="bold">verdict</Text>}>
        {windows.map((window) => (
          <Square
            key={window.report_id}
            to={to(window)}
            said={`Batch ${windowName(window)} ${window.verdict}: ${window.summary ?? ""}`}
            fill={look(window.verdict).fill}
            sign={look(window.verdict).sign}
            chosen={window.report_id === chosen}
          />
        ))}
      </Line>
      {predictions.map((row) => (
        <Line key={row.id} head={<span title={row.name}>{`prediction · ${cut(row.name, 18)}`}</span>}>
          {cells(row)}
        </Line>
      ))}
      {inputs.map((row) => (
        <Line key={row.id} head={<span title={row.name}>{cut(row.name, 30)}</span>}>
          {cells(row)}
        </Line>
      ))}
      <Loss name={name} windows={windows} />
    </Box>
  );
}

function lossWords(window: WindowRow): string {
  const { now, released, limit } = window;
  if (!now) return `Batch ${windowName(window)}: no labels yet, or too few rows`;
  const ends = now.low === null || now.high === null ? "" : ` [${number(now.low)}, ${number(now.high)}]`;
  const told = released === null ? "" : `, ${number(released)} at release (${growth(window)})`;
  return `Batch ${windowName(window)}: loss ${number(now.estimate)}${ends}${told}${limit === null ? "" : `, borne up to ${number(limit)}`}`;
}

/** Realised loss of each window, each below the cells it belongs to. */
function Loss({ name, windows }: { name: string; windows: WindowRow[] }) {
  const navigate = useNavigate();
  const known = windows.flatMap((w) => [w.now?.estimate, w.now?.low, w.now?.high, w.released, w.limit]);
  const values = known.filter((value): value is number => typeof value === "number");
  if (!windows.some((window) => window.now)) {
    return (
      <Line head={<Muted>realised loss</Muted>}>
        <Muted fontSize="sm">No labels have arrived for these windows.</Muted>
      </Line>
    );
  }
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = (most - least || 1) * 0.1;
  const y = (value: number) => LOSS - 6 - ((value - least + room) / (most - least + 2 * room)) * (LOSS - 12);
  const x = (at: number) => at * CELL + CELL / 2;
  const newest = [...windows].reverse().find((window) => window.now);
  const head = (
    <Flex justify="space-between" h={`${LOSS}px`} whiteSpace="normal" gap={2}>
      <Box>
        <Text fontWeight="bold">realised loss</Text>
        {newest?.now && <Muted fontSize="xs">{`now ${number(newest.now.estimate)}, ${growth(newest) ?? ""}`}</Muted>}
      </Box>
      <Flex
        direction="column"
        justify="space-between"
        color="fg.muted"
        fontSize="10px"
        textAlign="end"
        whiteSpace="nowrap"
      >
        <span>{number(Number(most.toPrecision(3)))}</span>
        <span>{number(Number(least.toPrecision(3)))}</span>
      </Flex>
    </Flex>
  );
  return (
    <Box borderTopWidth="1px" borderColor="border" mt={2} pt={2} minW="max-content">
      <Line head={head}>
        <svg
          width={windows.length * CELL}
          height={LOSS}
          role="group"
          aria-label="Realised loss over time"
          style={{ display: "block" }}
        >
          {windows.map((window, at) => {
            const left = at * CELL;
            const go = () => navigate(assetPath(name, { tab: "monitoring", report: window.report_id }));
            const ink = inkOf(decayed(window) ? "fail" : "pass");
            return (
              <g key={window.report_id}>
                {window.limit !== null && (
                  <rect
                    x={left}
                    width={CELL}
                    y={y(window.limit)}
                    height={Math.max(LOSS - y(window.limit), 0)}
                    fill={INK.new}
                    fillOpacity={0.12}
                  />
                )}
                {window.released !== null && (
                  <line
                    x1={left}
                    x2={left + CELL}
                    y1={y(window.released)}
                    y2={y(window.released)}
                    stroke={INK.faint}
                    strokeDasharray="4 3"
                  />
                )}
                {window.now && (
                  <g aria-label={lossWords(window)} {...clickable(go)}>
                    <title>{lossWords(window)}</title>
                    {window.now.low !== null && window.now.high !== null && (
                      <line
                        x1={x(at)}
                        x2={x(at)}
                        y1={y(window.now.low)}
                        y2={y(window.now.high)}
                        stroke={ink}
                        strokeWidth={2}
                      />
                    )}
                    <circle cx={x(at)} cy={y(window.now.estimate)} r={4.5} fill={ink} />
                  </g>
                )}
              </g>
            );
          })}
        </svg>
      </Line>
    </Box>
  );
}

export function HeatLegend() {
  const box = (fill: string, sign = "") => (
    <Box
      w="14px"
      h="14px"
      borderRadius="3px"
      aria-hidden
      style={{ background: fill, color: "white", textAlign: "center", lineHeight: "14px", fontWeight: 700 }}
    >
      {sign}
    </Box>
  );
  return (
    <HStack gap={4} wrap="wrap" mt={1} fontSize="xs" color="fg.muted">
      <HStack gap={1}>
        {box(`color-mix(in srgb, ${INK.new} 20%, transparent)`)}
        {box(`color-mix(in srgb, ${INK.new} 80%, transparent)`)}
        PSI, the stronger the larger
      </HStack>
      <HStack gap={1}>
        {box(look("fail").fill, "×")}
        surely more than is borne
      </HStack>
      <span>The band is the loss that is borne, the dashed line the loss at release.</span>
    </HStack>
  );
}
