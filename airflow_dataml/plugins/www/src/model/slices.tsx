// Slices of one window: the loss of each group of rows against the batches before, and what moved where.

import { Box, Text } from "@chakra-ui/react";
import { type Json, finite, intervalOf, objects } from "../reports/json";
import { colour, INK, look } from "../ui/charts";
import { type Column, Mark, Muted, Note, Rows, Section } from "../ui/pieces";
import { count, number, words } from "../ui/words";
import { Forest, type Interval, type Line } from "./forest";
import { heat } from "./heat";

const intervalWords = (one: Interval | null): string =>
  one ? `${number(one.estimate)} [${number(one.low)}, ${number(one.high)}]` : "too few rows";

const sliceOf = (one: Json): string => `${words(one.column)} is ${words(one.value)}`;

/** Each group twice: now, and before; what has surely grown comes first. */
export function lossLines(performance: unknown): Line[] {
  const known = objects(performance).filter((one) => intervalOf(one.loss));
  const worst = [...known].sort((a, b) => Number(b.verdict === "fail") - Number(a.verdict === "fail"));
  return worst.flatMap((one, at): Line[] => {
    const [now, before] = [intervalOf(one.loss), intervalOf(one.before)];
    return [
      {
        id: `${at} now`,
        label: sliceOf(one),
        told: `${intervalWords(now)}${one.verdict === "fail" ? ", surely grown" : ""}`,
        interval: now,
        verdict: words(one.verdict),
      },
      { id: `${at} before`, label: "   in the batches before", told: intervalWords(before), interval: before },
    ];
  });
}

export interface Moved {
  where: string;
  cells: Map<string, number>;
}

/** What moved within slices: a row for each slice, a cell for each column; the furthest first. */
export function movedOf(shifts: unknown): { rows: Moved[]; columns: string[] } {
  const rows = new Map<string, Map<string, number>>();
  const most = new Map<string, number>();
  for (const one of objects(shifts)) {
    const test = words(one.test);
    const column = test === "values" || test === "ks" ? words(one.column) : `${words(one.column)} · ${test}`;
    const [where, psi] = [words(one.where), finite(one.psi) ?? 0];
    const cells = rows.get(where) ?? new Map<string, number>();
    cells.set(column, Math.max(psi, cells.get(column) ?? 0));
    rows.set(where, cells);
    most.set(column, Math.max(psi, most.get(column) ?? 0));
  }
  const columns = [...most].sort(([, a], [, b]) => b - a).map(([name]) => name);
  return { rows: [...rows].map(([where, cells]) => ({ where, cells })), columns };
}

function Psi({ psi, tolerance }: { psi: number | undefined; tolerance: number | null }) {
  if (psi === undefined) return <Muted>-</Muted>;
  const dark = Math.round(25 + 55 * heat(psi, tolerance));
  return (
    <Box
      as="span"
      display="inline-block"
      px={2}
      borderRadius="3px"
      title={`PSI ${number(psi)}, surely more than the ${number(tolerance)} that is borne`}
      style={{
        background: `color-mix(in srgb, ${look("fail").fill} ${dark}%, transparent)`,
        border: `1px solid ${INK.line}`,
        color: colour("fg"),
      }}
    >
      {`× ${number(Number(psi.toPrecision(2)))}`}
    </Box>
  );
}

const GROUPS: Column<Json>[] = [
  { title: "Slice", cell: sliceOf },
  { title: "Rows", right: true, cell: (one) => number(one.rows) },
  { title: "Rows it is compared with", right: true, cell: (one) => number(one.reference_rows) },
  { title: "Tested", cell: (one) => (one.tested ? "yes" : <Mark text="too few rows" />) },
];

export function Slices({ slices, tolerance }: { slices: Json; tolerance: number | null }) {
  const lines = lossLines(slices.performance);
  const { rows, columns } = movedOf(slices.shifts);
  const beyond = (finite(slices.moved) ?? 0) - objects(slices.shifts).length;
  const cells: Column<Moved>[] = [
    { title: "Where", cell: (one) => one.where },
    ...columns.map((name): Column<Moved> => ({
      title: name,
      cell: (one) => <Psi psi={one.cells.get(name)} tolerance={tolerance} />,
    })),
  ];
  return (
    <Section title="Slices of this batch">
      <Text mb={1} fontWeight="bold">
        What moved within them, by PSI
      </Text>
      <Rows
        columns={cells}
        rows={rows}
        id={(one) => one.where}
        label="What moved within slices"
        empty={`None of ${count(finite(slices.tests) ?? 0, "test")} within slices found a move beyond what is borne.`}
      />
      {beyond > 0 && <Muted fontSize="sm">{`${count(beyond, "smaller move")} more.`}</Muted>}
      <Text mt={4} mb={1} fontWeight="bold">
        Loss of each, now and in the batches before
      </Text>
      {lines.length ? (
        <Box overflowX="auto" tabIndex={0} role="region" aria-label="Loss of slices">
          <Forest label="Loss of slices" lines={lines} />
        </Box>
      ) : (
        <Note>Nothing to compare yet: it takes labels, and a batch before with enough rows of the slice.</Note>
      )}
      <Box mt={3}>
        <Rows columns={GROUPS} rows={objects(slices.groups)} id={(_, at) => at} label="Groups of rows looked at" />
      </Box>
    </Section>
  );
}
