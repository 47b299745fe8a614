// Where a look at the graph begins: an asset, found as one types.

import { Box, Input, Text } from "@chakra-ui/react";
import { useState } from "react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { AssetRow } from "../api/types";
import { path } from "../ui/paths";
import { type Column, Go, Mark, Rows, State } from "../ui/pieces";
import { kinds } from "../ui/words";

/** Where the graph of an asset is, as it was asked for; one without versions is drawn by asset. */
function graphPath(row: AssetRow, query: URLSearchParams): string {
  const kept = Object.fromEntries(query);
  return path(`lineage/${encodeURIComponent(row.name)}`, { ...kept, by: row.version ? kept.by : "asset" });
}

const columnsOf = (query: URLSearchParams): Column<AssetRow>[] => [
  {
    title: "Asset",
    cell: (row) => <Go to={graphPath(row, query)}>{row.name}</Go>,
  },
  { title: "Kind", cell: (row) => kinds(row) },
  { title: "Checks", cell: (row) => <Mark text={row.verdict} /> },
  { title: "Owner", cell: (row) => row.owner ?? "-" },
];

export function Start({ query }: { query: URLSearchParams }) {
  const [typed, setTyped] = useState("");
  const answer = useAnswer(at("/assets", { q: typed, limit: 25 }), { keep: true });
  return (
    <Box>
      <Text mb={2}>Which asset shall the graph be drawn around?</Text>
      <Input
        type="search"
        size="sm"
        w="28rem"
        maxW="100%"
        autoFocus
        aria-label="Find an asset"
        placeholder="Name, column, owner"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <Box mt={3} aria-live="polite">
        {!answer.data && <State answer={answer} />}
        {answer.data && (
          <Rows
            columns={columnsOf(query)}
            rows={answer.data.items}
            id={(row) => row.name}
            label="Assets"
            empty={
              typed
                ? `Nothing is called ${typed}.`
                : "The catalog is empty: register an asset, or let a task write one."
            }
          />
        )}
      </Box>
    </Box>
  );
}
