// Evidence against the alarm bar: each column's sum over the windows, and which of them are suspected.

import { Box, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import type { WindowRow } from "../api/types";
import { Lines } from "../ui/lines";
import { assetPath } from "../ui/paths";
import { type Column, Mark, Muted, Rows, Section } from "../ui/pieces";
import { count, number } from "../ui/words";
import { windowName } from "./heat";
import { bent, columnsOf, evidenceOf, evidenceWords } from "./watch";

const LISTED = 12;

interface Sum {
  name: string;
  sum: number;
  bar: number;
  suspect: boolean;
}

const SUMS: Column<Sum>[] = [
  { title: "Column", cell: (one) => one.name },
  { title: "Evidence", right: true, cell: (one) => number(one.sum) },
  { title: "Bar", right: true, cell: (one) => number(one.bar) },
  {
    title: "Suspected",
    cell: (one) => {
      if (one.suspect) return <Mark text="suspect" />;
      return <Muted>{one.sum >= one.bar ? "above the bar" : "no"}</Muted>;
    },
  },
];

interface OverTimeProps {
  name: string;
  /** Oldest first. */
  windows: WindowRow[];
  chosen: WindowRow | undefined;
}

export function EvidenceOverTime({ name, windows, chosen }: OverTimeProps) {
  const navigate = useNavigate();
  const newest = [...windows].reverse().find((window) => window.watch.evidence)?.watch.evidence;
  if (!newest) return null;
  const { bar, budget } = newest;
  const series = evidenceOf(windows, columnsOf(windows));
  const values = series.flatMap((one) => one.spots.flatMap((spot) => spot?.value ?? []));
  const [least, most] = [Math.min(0, ...values), Math.max(bar, ...values)];
  const ticks = [least < -bar / 2 ? least : 0, 0, most > 2 * bar ? most : bar];
  const label = "Evidence against the alarm bar";
  return (
    <Section title={label}>
      <Box overflowX="auto" tabIndex={0} role="region" aria-label={label}>
        <Lines
          label={label}
          unit="log of evidence"
          moments={windows.map((window) => ({
            name: windowName(window),
            said: evidenceWords(window),
            chosen: window.report_id === chosen?.report_id,
            sign: window.watch.evidence?.alarm ? "alarm" : undefined,
            go: () => navigate(assetPath(name, { tab: "monitoring", report: window.report_id })),
          }))}
          series={series}
          marks={[{ at: bar, label: `alarm bar, ${number(bar)} (${count(budget, "window")})` }]}
          ticks={[...new Set(ticks)]}
          bend={bent(bar)}
        />
      </Box>
      <Muted fontSize="sm">
        {`Every window adds to the sums. The alarm is raised where the thick line, all columns together, reaches the bar: while nothing moves, once in ${number(budget)} windows at most on average. Then the sums begin anew.`}
      </Muted>
      {chosen?.watch.evidence && <Sums window={chosen} />}
    </Section>
  );
}

function Sums({ window }: { window: WindowRow }) {
  const one = window.watch.evidence;
  if (!one) return null;
  const rows = Object.entries(one.sums)
    .map(([name, sum]): Sum => ({ name, sum, bar: one.bar, suspect: one.suspects.includes(name) }))
    .sort((a, b) => b.sum - a.sum);
  return (
    <Box mt={3}>
      <Text mb={1}>
        {`After batch ${windowName(window)}: `}
        <b>{`${number(one.evidence)} of ${number(one.bar)}`}</b>
        {` over ${count(one.windows, "window")}. `}
        {one.alarm
          ? `Suspected: ${one.suspects.join(", ") || "no single column, all together"}.`
          : "No column is suspected."}
        {!one.counted && " The batch was counted before, and is not counted again."}
      </Text>
      <Rows
        columns={SUMS}
        rows={rows.slice(0, LISTED)}
        id={(row) => row.name}
        marked={(row) => row.suspect}
        label={`Sums after batch ${windowName(window)}`}
        empty="No column has said anything yet."
      />
      {rows.length > LISTED && <Muted fontSize="sm">{`${count(rows.length - LISTED, "smaller sum")} more.`}</Muted>}
    </Box>
  );
}
