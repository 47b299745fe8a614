// Reach: where rows went that somebody wants to be forgotten, and what was decided about the models that learnt from them.

import { Box, Text } from "@chakra-ui/react";
import { colour, Drawing, INK } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Alert, type Column, Facts, Go, Marks, Muted, Note, Rows } from "../ui/pieces";
import { count, number, words } from "../ui/words";
import { finite, type Json, list, objects, text, texts } from "./json";

const VIA: Record<string, string> = {
  rows: "holds them",
  learnt: "learnt from them",
  measured: "was measured on them",
  through: "began with, or was taught by, a model that learnt from them",
  lineage: "was made from what holds them; it cannot be searched by their key",
};

const DECIDED: Record<string, { status: "info" | "warning" | "success"; said: string }> = {
  retrain: { status: "success", said: "A retraining was asked for" },
  waive: { status: "warning", said: "It was waived: the models stay as they are" },
  list: { status: "info", said: "Only listed: nothing was decided" },
};

const numbersOf = (one: Json): number[] =>
  list(one.versions).filter((value): value is number => finite(value) !== null);

/** Versions as short as they can be told: runs of numbers from end to end. */
export function runs(numbers: number[]): string {
  const found: [number, number][] = [];
  for (const one of [...numbers].sort((a, b) => a - b)) {
    const last = found[found.length - 1];
    if (last && one <= last[1] + 1) last[1] = one;
    else found.push([one, one]);
  }
  return found.map(([from, to]) => (from === to ? `@${from}` : `@${from} to @${to}`)).join(", ");
}

const LONG = 110;

function Bar({ rows, most }: { rows: number | null; most: number }) {
  if (rows === null) return <Muted>cannot be counted</Muted>;
  const said = count(rows, "row");
  return (
    <Drawing width={LONG + 60} height={14} label={said}>
      <rect width={LONG} height={10} y={2} rx={2} fill={INK.line} fillOpacity={0.4} />
      <rect width={Math.max((LONG * rows) / (most || 1), 2)} height={10} y={2} rx={2} fill={colour("orange-solid")} />
      <text x={LONG + 8} y={11} style={{ fontSize: "12px" }} fill="currentColor">
        {number(rows)}
      </text>
    </Drawing>
  );
}

function columnsOf(most: number): Column<Json>[] {
  return [
    { title: "Asset", cell: (one) => <Go to={assetPath(words(one.asset))}>{words(one.asset)}</Go> },
    { title: "Kind", cell: (one) => words(one.kind) },
    {
      title: "Versions",
      cell: (one) => {
        const numbers = numbersOf(one);
        const newest = Math.max(...numbers);
        if (!numbers.length) return <Muted>-</Muted>;
        return (
          <Box>
            <Go to={assetPath(words(one.asset), { version: newest })}>{runs(numbers)}</Go>
            <Text fontSize="sm">
              <Muted>{count(numbers.length, "version")}</Muted>
            </Text>
          </Box>
        );
      },
    },
    { title: "How", cell: (one) => VIA[words(one.via)] ?? words(one.via) },
    { title: "Of the rows", cell: (one) => <Bar rows={finite(one.rows)} most={most} /> },
    { title: "In use as", cell: (one) => <Marks texts={texts(one.in_use)} /> },
  ];
}

/** What was decided, and in whose words; nothing of a report that was written before there were decisions. */
function Record({ body }: { body: Json }) {
  const decided = DECIDED[words(body.action)];
  if (!decided) return null;
  return (
    <Box as="section" aria-label="What was decided" mt={3}>
      <Alert status={decided.status} mb={2}>
        {decided.said}
      </Alert>
      <Facts
        pairs={[
          ["In the words of who decided", text(body.because)],
          ["Request", text(body.request)],
        ]}
      />
    </Box>
  );
}

export function ReachDrawn({ body }: { body: Json }) {
  const found = objects(body.found);
  const searched = finite(body.searched) ?? 0;
  const most = Math.max(searched, ...found.map((one) => finite(one.rows) ?? 0));
  const models = found.filter((one) => one.kind === "model" && texts(one.in_use).length > 0);
  return (
    <Box mt={2}>
      <Facts
        pairs={[
          ["Rows looked for", searched],
          ["By", texts(body.key_columns).join(", ")],
          ["Places that hold them", found.length],
          ["Models in use", models.length],
        ]}
      />
      <Record body={body} />
      <Box mt={3}>
        <Rows
          columns={columnsOf(most)}
          rows={found}
          id={(_, at) => at}
          marked={(one) => models.includes(one)}
          label="Where the rows went"
          empty="Nothing that was searched holds them."
        />
      </Box>
      {texts(body.aside).map((one) => (
        <Note key={one}>{`Beside versions: ${one}`}</Note>
      ))}
      {texts(body.blind).map((one) => (
        <Alert key={one} status="warning" mt={2}>
          {`Could not be searched: ${one}`}
        </Alert>
      ))}
    </Box>
  );
}
