// The history of a model's aliases: who moved what, when, and on the strength of which report.

import { Box, HStack, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { AliasMove } from "../api/types";
import { assetPath } from "../ui/paths";
import { type Column, Go, Mark, More, Muted, Rows, State, Writer } from "../ui/pieces";
import { utc } from "../ui/words";

interface Task {
  dag_id: string | null;
  run_id: string | null;
  task_id: string | null;
  map_index: number;
}

/** Who wrote something, where anybody is on record. */
export function By({ run }: { run: Task }) {
  const { dag_id, run_id, task_id, map_index } = run;
  if (!dag_id || !run_id || !task_id) return <Muted>-</Muted>;
  return <Writer run={{ dag_id, run_id, task_id, map_index }} />;
}

function Version({ name, number }: { name: string; number: number | null }) {
  return number ? <Go to={assetPath(name, { version: number })}>{`@${number}`}</Go> : <Muted>nothing</Muted>;
}

/** Why something was decided, one reason a line. */
export function Reasons({ reasons }: { reasons: string[] | null }) {
  return (reasons ?? []).map((reason) => (
    <Text key={reason} fontSize="sm">
      {reason}
    </Text>
  ));
}

const COLUMNS = (name: string): Column<AliasMove>[] => [
  { title: "At (UTC)", cell: (m) => <Text whiteSpace="nowrap">{utc(m.moved_at)}</Text> },
  { title: "Alias", cell: (m) => <Mark text={m.name} /> },
  {
    title: "Moved",
    cell: (m) => (
      <HStack gap={1} wrap="nowrap">
        <Version name={name} number={m.from_version} />
        <span aria-label="to">→</span>
        <Version name={name} number={m.to_version} />
      </HStack>
    ),
  },
  { title: "By", cell: (m) => <By run={m} /> },
  {
    title: "Because of",
    cell: (m) =>
      m.report_id ? (
        <Box>
          <HStack gap={2}>
            <Mark text={m.action ?? m.verdict} />
            <Go to={assetPath(name, { tab: "reports", report: m.report_id })}>{`report ${m.report_id}`}</Go>
          </HStack>
          <Reasons reasons={m.reasons} />
        </Box>
      ) : (
        <Muted>it was written</Muted>
      ),
  },
];

export function History({ name }: { name: string }) {
  const pages = usePages(at("/models/{model}/history", { model: name }));
  return (
    <Box>
      <State answer={pages} />
      {pages.first && (
        <Rows
          columns={COLUMNS(name)}
          rows={pages.items}
          id={(m) => m.entry_id}
          label="History of aliases"
          empty="No alias was ever moved."
        />
      )}
      <More pages={pages} />
    </Box>
  );
}
