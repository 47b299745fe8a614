// Rows that were refused, kept with the reasons, until they are replayed or given up.

import { Box, HStack, Text, VStack } from "@chakra-ui/react";
import { useState } from "react";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { QuarantineRow } from "../api/types";
import { assetPath } from "../ui/paths";
import { type Column, Command, Go, Mark, More, Muted, NodeName, Rows, State, Toggle } from "../ui/pieces";
import { number, share, utc } from "../ui/words";

function Reasons({ reasons }: { reasons: Record<string, number> }) {
  const found = Object.entries(reasons).sort((a, b) => b[1] - a[1]);
  return found.map(([check, rows]) => (
    <HStack key={check} gap={2}>
      <Text minW="3rem" textAlign="end">
        {number(rows)}
      </Text>
      <Text wordBreak="break-word">{check}</Text>
    </HStack>
  ));
}

function Whereabouts({ one }: { one: QuarantineRow }) {
  if (one.state === "replayed")
    return (
      <Box>
        as <NodeName label={one.version ?? ""} />
      </Box>
    );
  if (one.state === "discarded") return <Muted>{one.note}</Muted>;
  return (
    <details>
      <summary style={{ cursor: "pointer" }}>Commands</summary>
      <VStack align="start" gap={1} mt={1}>
        <Muted>Look at the rows:</Muted>
        <Command>{`dataml quarantine rows ${one.quarantine_id}`}</Command>
        <Muted>Bring them back, in a DAG, repaired or as they are:</Muted>
        <Command>{`replay_quarantine(dataset, contract=..., quarantine=${one.quarantine_id})`}</Command>
        <Muted>Give them up:</Muted>
        <Command>{`dataml quarantine discard ${one.quarantine_id} --reason "..."`}</Command>
      </VStack>
    </details>
  );
}

const DATASET: Column<QuarantineRow> = {
  title: "Dataset",
  cell: (q) => <Go to={assetPath(q.asset, { tab: "quarantine" })}>{q.asset}</Go>,
};
const COLUMNS: Column<QuarantineRow>[] = [
  { title: "Quarantine", cell: (q) => `#${q.quarantine_id}` },
  {
    title: "Batch",
    cell: (q) => (
      <Box>
        {q.partition_key ?? `part ${q.part_id}`}
        {q.branch && <Muted>{` on ${q.branch}`}</Muted>}
      </Box>
    ),
  },
  {
    title: "Rows",
    right: true,
    cell: (q) => (
      <span
        title={`${share(q.rows / q.tested)} of ${number(q.tested)}`}
      >{`${number(q.rows)} of ${number(q.tested)}`}</span>
    ),
  },
  { title: "Reasons", cell: (q) => <Reasons reasons={q.reasons} /> },
  { title: "State", cell: (q) => <Mark text={q.state} /> },
  { title: "Set aside (UTC)", cell: (q) => utc(q.created_at) },
  {
    title: "Report",
    cell: (q) =>
      q.report_id ? (
        <Go to={assetPath(q.asset, { tab: "quality", report: q.report_id })}>{`report ${q.report_id}`}</Go>
      ) : (
        "-"
      ),
  },
  { title: "What became of it", cell: (q) => <Whereabouts one={q} /> },
];

export function Quarantines({ asset }: { asset?: string }) {
  const [all, setAll] = useState(Boolean(asset));
  const pages = usePages(at("/quarantine", { asset, state: all ? null : "open" }));
  const [first, ...rest] = COLUMNS as [Column<QuarantineRow>, ...Column<QuarantineRow>[]];
  const columns = asset ? COLUMNS : [first, DATASET, ...rest];
  const empty = all ? "No row was ever set aside." : "No row is set aside.";
  return (
    <Box mt={3}>
      <HStack mb={3}>
        <Toggle on={all} flip={() => setAll(!all)}>
          Closed ones too
        </Toggle>
      </HStack>
      <State answer={pages} />
      {pages.first && (
        <Rows columns={columns} rows={pages.items} id={(q) => q.quarantine_id} empty={empty} label="Quarantine" />
      )}
      <More pages={pages} />
    </Box>
  );
}
