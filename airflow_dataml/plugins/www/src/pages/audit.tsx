// The audit chain: who decided what, and whether nobody changed it since.

import { Box, Button, Flex, Link as ChakraLink, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import { AuditRows } from "../governance/audit";
import { Choice, Entry } from "../governance/fields";
import type { PageProps } from "../routes";
import { path } from "../ui/paths";
import { Alert, Command, More, State } from "../ui/pieces";
import { count } from "../ui/words";

const NAMES = ["actor", "action", "subject", "since", "until"] as const;
type Name = (typeof NAMES)[number];
type Asked = Record<Name, string>;

const MEANT = `Every entry holds the hash of the one before it. The database itself writes both and refuses to change or
delete an entry. Recomputing every hash from what each entry says shows whether somebody with rights on the database
changed, took out or slipped in one all the same.`;

function Verified() {
  // Recomputes the whole chain, so it is asked for once and beside the entries.
  const { data, error, loading, again } = useAnswer(at("/audit", { limit: 1, verify: true }));
  return (
    <Box mb={4} aria-live="polite">
      {error && <Alert status="warning">{`The chain was not recomputed: ${error.message}`}</Alert>}
      {data?.fault && (
        <Alert status="error">
          {`The audit chain is broken at ${data.fault}. What stands before it can be relied on; compare the rest with an export or a backup from before.`}
        </Alert>
      )}
      {data && !data.fault && (
        <Alert status="success">{`The audit chain holds: ${count(data.entries ?? 0, "entry").replace(/entrys$/, "entries")}, recomputed just now.`}</Alert>
      )}
      <details>
        <summary style={{ cursor: "pointer" }}>What this means, and how to check it yourself</summary>
        <Box mt={2} maxW="60rem">
          <Text mb={2}>{MEANT}</Text>
          <Text mb={2}>
            The export below holds every hash. The same is checked, without this page, by{" "}
            <Command>dataml audit verify</Command>
          </Text>
          <Button size="xs" variant="outline" onClick={again} loading={loading}>
            Recompute it again
          </Button>
        </Box>
      </details>
    </Box>
  );
}

/** A day of the address as the moment it begins, in UTC; what is no day is left out. */
export function dayStart(day: string, later = 0): string | null {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(time) ? null : new Date(time + later * 86_400_000).toISOString();
}

export default function Audit({ query }: PageProps) {
  const navigate = useNavigate();
  const asked = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""])) as Asked;
  const narrow = (change: Partial<Asked>) => navigate(path("audit", { ...asked, ...change }));
  const { actor, action, subject } = asked;
  // The last day is meant with all its hours.
  const values = { actor, action, subject, since: dayStart(asked.since), until: dayStart(asked.until, 1) };
  const pages = usePages(at("/audit", { ...values, limit: 50 }));
  const actions = [...new Set([...(pages.first?.actions ?? []), ...(action ? [action] : [])])].sort();
  const narrowed = NAMES.some((name) => asked[name]);
  const entry = (name: Name, label: string, placeholder: string) => (
    <Entry
      key={name}
      label={label}
      placeholder={placeholder}
      type={name === "since" || name === "until" ? "date" : "text"}
      value={asked[name]}
      pick={(value) => narrow({ [name]: value })}
    />
  );
  return (
    <Box>
      <Verified />
      <Flex gap={3} wrap="wrap" align="end" mb={3} role="group" aria-label="Filters">
        {entry("actor", "Who", "user:ana, task:flights")}
        <Choice
          label="Action"
          value={action}
          pick={(value) => narrow({ action: value })}
          options={[["", "any"], ...actions.map((one): [string, string] => [one, one.replaceAll("_", " ")])]}
        />
        {entry("subject", "Subject", "rides, incident 7")}
        {entry("since", "From day (UTC)", "")}
        {entry("until", "To day (UTC)", "")}
        {narrowed && (
          <Button size="sm" variant="ghost" onClick={() => navigate(path("audit"))}>
            All entries
          </Button>
        )}
        <ChakraLink
          href={new URL(`dataml/${at("/audit/export", values)}`, document.baseURI).href}
          color="fg.info"
          py={1}
          {...{ download: "dataml-audit.jsonl" }}
        >
          {narrowed ? "Export these as JSON lines" : "Export as JSON lines"}
        </ChakraLink>
      </Flex>
      <State answer={pages} />
      {pages.first && (
        <AuditRows
          rows={pages.items}
          empty={
            narrowed
              ? "No entry is like that; actors and subjects begin as written."
              : "No decision has been taken yet."
          }
        />
      )}
      <More pages={pages} />
    </Box>
  );
}
