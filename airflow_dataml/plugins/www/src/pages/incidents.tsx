// Incidents: what went wrong, and whether somebody mended it.

import { Box, Flex } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import { Choice, Entry } from "../governance/fields";
import { IncidentRows } from "../governance/incidents";
import type { PageProps } from "../routes";
import { path } from "../ui/paths";
import { More, State } from "../ui/pieces";

const STATES = ["all", "new", "acknowledged", "assigned", "resolved"] as const;
const KINDS = ["data", "drift", "decay"] as const;
const SEVERITIES = ["high", "medium", "low"] as const;

type Options = [value: string, title: string][];
const titled = (words: readonly string[]): Options => words.map((word) => [word, word]);

function one<Word extends string>(words: readonly Word[], text: string | null): Word | null {
  return words.find((word) => word === text) ?? null;
}

export default function Incidents({ query }: PageProps) {
  const navigate = useNavigate();
  const asked = {
    state: one(STATES, query.get("state")),
    kind: one(KINDS, query.get("kind")),
    severity: one(SEVERITIES, query.get("severity")),
    asset: query.get("asset"),
  };
  const narrow = (change: Record<string, string>) => navigate(path("incidents", { ...asked, ...change }));
  const { state, ...rest } = asked;
  const pages = usePages(at("/incidents", { ...rest, state: state === "all" ? null : (state ?? "open") }));
  const narrowed = Object.values(asked).some(Boolean);
  return (
    <Box>
      <Flex gap={3} wrap="wrap" mb={3} role="group" aria-label="Filters">
        <Choice
          label="State"
          value={state ?? ""}
          pick={(value) => narrow({ state: value })}
          options={[["", "not resolved"], ...titled(STATES)]}
        />
        <Choice
          label="Kind"
          value={asked.kind ?? ""}
          pick={(value) => narrow({ kind: value })}
          options={[["", "any"], ...titled(KINDS)]}
        />
        <Choice
          label="Severity"
          value={asked.severity ?? ""}
          pick={(value) => narrow({ severity: value })}
          options={[["", "any"], ...titled(SEVERITIES)]}
        />
        <Entry
          label="Asset"
          value={asked.asset ?? ""}
          pick={(value) => narrow({ asset: value })}
          placeholder="Its whole name"
        />
      </Flex>
      <State answer={pages} />
      {pages.first && (
        <IncidentRows
          rows={pages.items}
          empty={narrowed ? "No incident is like that." : "No incident is open. Choose another state for older ones."}
        />
      )}
      <More pages={pages} />
    </Box>
  );
}
