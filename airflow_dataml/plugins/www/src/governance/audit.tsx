// Entries of the audit chain as rows; what is known besides opens below each.

import { Box, Code, Text } from "@chakra-ui/react";
import type { AuditEntry } from "../api/types";
import { flatten } from "../reports/body";
import { assetPath, path } from "../ui/paths";
import { type Column, Go, Mark, NodeName, Rows } from "../ui/pieces";
import { cut, number, utc, words } from "../ui/words";
import { incidentPath } from "./incidents";

/** Where a subject is looked at: an incident, a branch, a backend, a version or an asset; ``null`` where nowhere. */
export function subjectPath(entry: Pick<AuditEntry, "action" | "subject">): string | null {
  const [of = "", name = ""] = entry.subject.split(/ (.*)/);
  if (/^incident \d+$/.test(entry.subject)) return incidentPath(Number(name));
  if (of === "backend" && name) return path("delivery", { backend: name });
  if (entry.action.split(/[ _]/).includes("branch")) return path("branches");
  return null;
}

/** The few words of a detail that tell most; the whole of it is one click away. */
export function gist(detail: unknown): string {
  const facts = flatten(detail).filter(([, value]) => value !== null && value !== "" && value !== undefined);
  return cut(facts.map(([name, value]) => `${name}: ${words(value)}`).join(", "), 140);
}

function Subject({ entry }: { entry: AuditEntry }) {
  const to = subjectPath(entry);
  return to ? <Go to={to}>{entry.subject}</Go> : <NodeName label={entry.subject} />;
}

function Detail({ entry }: { entry: AuditEntry }) {
  const report = flatten(entry.detail).find(([name]) => name === "report")?.[1];
  const asset = entry.subject.replace(/@\d+$/, "");
  return (
    <details>
      <summary style={{ cursor: "pointer" }}>
        <Text as="span" fontSize="sm" color="fg.muted" wordBreak="break-word">
          {gist(entry.detail) || "nothing besides"}
        </Text>
      </summary>
      {typeof report === "number" && !subjectPath(entry) && (
        <Go to={assetPath(asset, { report })}>{`report ${report}`}</Go>
      )}
      <Box as="pre" tabIndex={0} role="region" aria-label={`Detail of entry ${entry.seq}`} overflowX="auto" mt={1}>
        <Code display="block" whiteSpace="pre-wrap" wordBreak="break-word" p={2}>
          {JSON.stringify(entry.detail, null, 2)}
        </Code>
      </Box>
      <Text fontSize="xs" color="fg.muted" wordBreak="break-all">{`Hash ${entry.hash}`}</Text>
    </details>
  );
}

const COLUMNS: Column<AuditEntry>[] = [
  { title: "Entry", right: true, cell: (a) => number(a.seq) },
  { title: "At (UTC)", cell: (a) => <Text whiteSpace="nowrap">{utc(a.at)}</Text> },
  { title: "Who", cell: (a) => <Text wordBreak="break-word">{a.actor}</Text> },
  { title: "Action", cell: (a) => <Mark text={a.action} /> },
  { title: "Subject", cell: (a) => <Subject entry={a} /> },
  { title: "Detail", cell: (a) => <Detail entry={a} /> },
];

export function AuditRows({ rows, empty }: { rows: AuditEntry[]; empty: string }) {
  return <Rows columns={COLUMNS} rows={rows} id={(a) => a.seq} empty={empty} label="Audit entries" />;
}
