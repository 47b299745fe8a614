// Two versions side by side: schema, distributions, and rows as far as they are known without reading them.

import { Badge, Box, Button, HStack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { ColumnNumbers, ColumnPair, Comparison, Manifest, SchemaDiff, StoredDiff } from "../api/types";
import { type AssetPlaceProps, numberOf } from "../pages/asset";
import { isObject, type Json, Sample } from "../reports/body";
import { Distribution, INK } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Alert, type Column, Command, Facts, Mark, Muted, Note, Rows, Section, State } from "../ui/pieces";
import { count, number, share, utc, words } from "../ui/words";
import { VersionPicker } from "./picker";
import { Extreme } from "./profile";

const PSI = { moderate: 0.1, large: 0.25 };

type Names = [old: string, now: string];

function Psi({ value }: { value: number | null }) {
  if (value === null) return <Muted>-</Muted>;
  const palette = value >= PSI.large ? "red" : value >= PSI.moderate ? "orange" : "gray";
  return (
    <Badge colorPalette={palette} title="population stability index: 0.1 is commonly called moderate, 0.25 large">
      {value > 0 && value < 0.001 ? "< 0.001" : number(Number(value.toPrecision(2)))}
    </Badge>
  );
}

interface BothProps {
  pair: ColumnPair;
  value: (side: ColumnNumbers) => unknown;
  render: (side: ColumnNumbers) => ReactNode;
}

/** The value of both sides, once where they are equal. */
function Both({ pair, value, render }: BothProps) {
  const { old, new: now } = pair;
  if (old && now && value(old) === value(now)) return <span>{render(now)}</span>;
  return (
    <Box>
      <Box color="fg.muted">{old ? render(old) : "-"}</Box>
      <Box>{now ? render(now) : "-"}</Box>
    </Box>
  );
}

function pair(title: string, value: BothProps["value"], render: BothProps["render"]): Column<ColumnPair> {
  return { title, right: true, cell: (c) => <Both pair={c} value={value} render={render} /> };
}

function typeWords(c: ColumnPair): string {
  if (!c.old) return `${c.new?.type ?? ""}, new`;
  return c.new ? c.new.type : "gone";
}

function columnsOf(names: Names): Column<ColumnPair>[] {
  return [
    {
      title: "Column",
      cell: (c) => (
        <Box>
          <Text fontWeight="medium">{c.name}</Text>
          <Muted fontSize="xs">{typeWords(c)}</Muted>
        </Box>
      ),
    },
    { title: "PSI", right: true, cell: (c) => <Psi value={c.psi} /> },
    pair(
      "Missing",
      (side) => side.share,
      (side) => share(side.share),
    ),
    pair(
      "Distinct",
      (side) => side.distinct,
      (side) => number(side.distinct),
    ),
    pair(
      "Least",
      (side) => side.min,
      (side) => <Extreme value={side.min} />,
    ),
    pair(
      "Mean",
      (side) => side.mean,
      (side) => number(side.mean),
    ),
    pair(
      "Most",
      (side) => side.max,
      (side) => <Extreme value={side.max} />,
    ),
    {
      title: "Distribution",
      cell: (c) =>
        (c.new ?? c.old)?.masked ? (
          <Muted>masked by the contract</Muted>
        ) : (
          <Distribution
            chart={c.chart}
            label={c.name}
            names={names}
            axis={c.chart !== null && c.chart.kind !== "values"}
          />
        ),
    },
  ];
}

function Columns({ found, names }: { found: ColumnPair[]; names: Names }) {
  return (
    <Box>
      <HStack gap={4} fontSize="sm" mb={1}>
        {names.map((name, side) => (
          <HStack key={name} gap={1}>
            <Box w="12px" h="12px" borderRadius="2px" style={{ background: side ? INK.new : INK.old }} />
            {name}
          </HStack>
        ))}
        <Muted>in shares of each version's rows</Muted>
      </HStack>
      <Rows
        rows={found}
        id={(c) => c.name}
        columns={columnsOf(names)}
        empty="No column was profiled in either version."
        label="Distributions"
      />
    </Box>
  );
}

function Changes({ schema }: { schema: SchemaDiff }) {
  if (!schema.changes.length) return <Note>Both have the same columns.</Note>;
  return (
    <Rows
      id={(change) => `${change.column} ${change.kind}`}
      rows={schema.changes}
      label="Changes of the schema"
      columns={[
        { title: "Class", cell: (change) => <Mark text={change.change} /> },
        { title: "What", cell: (change) => change.sentence },
      ]}
    />
  );
}

/** Parts are immutable: a row only one version has is in a part only that one has. */
export function manifestWords(manifest: Manifest | null, [old, now]: Names): string | null {
  if (!manifest) return null;
  const { shared, old_parts: gone, old_rows: less, new_parts: came, new_rows: more } = manifest;
  if (!gone && !came) return "Both are made of the same parts, so their rows are the same.";
  if (!gone)
    return `${now} has all rows of ${old}, and ${count(more, "row")} more in ${count(came, "part")} of its own.`;
  if (!came)
    return `${old} has all rows of ${now}, and ${count(less, "row")} more in ${count(gone, "part")} of its own.`;
  return `They share ${shared ? count(shared, "part") : "no part"}. ${count(less, "row")} are in parts only ${old} has, ${number(more)} in parts only ${now} has; among these a row may be equal, changed, gone or new.`;
}

function Samples({ kind, rows }: { kind: string; rows: unknown[] }) {
  const flat = (kind === "updated" ? rows.flatMap((both) => (Array.isArray(both) ? both : [])) : rows).filter(isObject);
  const names = [...new Set(flat.flatMap((row) => Object.keys(row)))];
  const title = kind === "updated" ? "updated, before and after" : kind;
  return (
    <Box mt={2}>
      <Text fontSize="sm">{title}</Text>
      <Sample
        columns={names}
        rows={flat.map((row) => names.map((name) => row[name] ?? null))}
        label={`Rows ${title}`}
      />
    </Box>
  );
}

function changedWords(rows: Json): string {
  const columns = Array.isArray(rows.columns) ? rows.columns.filter(isObject) : [];
  return columns.map((c) => `${words(c.column)} ${number(c.changed)}`).join(", ");
}

function StoredRows({ stored }: { stored: StoredDiff }) {
  const { rows, unread } = stored.body;
  if (!isObject(rows)) return <Note>{`Rows were not compared: ${words(unread)}.`}</Note>;
  const samples = Object.entries(isObject(rows.samples) ? rows.samples : {}).filter(
    ([, found]) => Array.isArray(found) && found.length,
  );
  const changed = changedWords(rows);
  return (
    <Box>
      <Facts
        pairs={[
          ["Inserted", number(rows.inserted)],
          ["Updated", number(rows.updated)],
          ["Deleted", number(rows.deleted)],
          ["Matched by", (Array.isArray(rows.keys) ? rows.keys : []).join(", ") || "whole rows"],
          ["Report", stored.report_id],
          ["At (UTC)", utc(stored.created_at)],
        ]}
      />
      {changed && <Text mt={2}>{`Changed values: ${changed}`}</Text>}
      {samples.map(([kind, found]) => (
        <Samples key={kind} kind={kind} rows={found as unknown[]} />
      ))}
    </Box>
  );
}

function RowsBetween({ found, names }: { found: Comparison; names: Names }) {
  if (found.equal) return <Note>Equal fingerprints: both hold the same rows.</Note>;
  const told = manifestWords(found.manifest, names);
  const gone = [found.old, found.new].filter((side) => side.kept === false).map((side) => side.ref);
  return (
    <Box>
      {told && <Text mb={2}>{told}</Text>}
      {found.rows && <StoredRows stored={found.rows} />}
      {!found.rows && gone.length > 0 && (
        <Muted>{`The rows of ${gone.join(" and ")} are not kept any more, so they cannot be compared one by one.`}</Muted>
      )}
      {!found.rows && !gone.length && (
        <Box>
          <Muted>The page reads the ledger alone. This compares the rows themselves: </Muted>
          <Command>{found.command}</Command>
        </Box>
      )}
    </Box>
  );
}

function Between({ found, names }: { found: Comparison; names: Names }) {
  const known = found.old.fingerprint && found.new.fingerprint;
  return (
    <Box>
      <Facts
        pairs={[
          ["Rows", `${number(found.old.rows)} → ${number(found.new.rows)}`],
          ["Columns", found.schema.class ? <Mark key="class" text={found.schema.class} /> : "the same"],
          ["Content", found.equal ? "equal" : known ? "differs" : "not known"],
        ]}
      />
      <Section title="Schema">
        <Changes schema={found.schema} />
      </Section>
      <Section title="Rows">
        <RowsBetween found={found} names={names} />
      </Section>
      <Section title="Distributions">
        {found.missing && (
          <Alert status="warning" mb={3}>
            {found.missing}
          </Alert>
        )}
        <Columns found={found.columns} names={names} />
      </Section>
    </Box>
  );
}

export default function Compare({ asset, chosen, query }: AssetPlaceProps) {
  const navigate = useNavigate();
  const { name } = asset;
  const pages = usePages(at("/assets/{name}/versions", { name, limit: 200 }));
  const now = numberOf(query, "new") ?? chosen;
  const parent = pages.items.find((v) => v.number === now)?.parent;
  const older = pages.items.find((v) => now !== null && v.number < now)?.number;
  const old = numberOf(query, "old") ?? parent ?? older ?? null;
  const ready = old !== null && now !== null && old !== now;
  const answer = useAnswer(ready ? at("/assets/{name}/compare", { name, old, new: now }) : null);
  const go = (pair: { old?: number | null; new?: number | null }) =>
    navigate(assetPath(name, { tab: "compare", version: chosen, old, new: now, ...pair }));
  const alone =
    pages.items.length > 1 ? "Choose two versions." : "There is one version alone, so nothing to compare it with.";
  return (
    <Box mt={4}>
      <HStack gap={4} wrap="wrap" mb={3}>
        <VersionPicker label="From" versions={pages.items} value={old} choose={(version) => go({ old: version })} />
        <VersionPicker label="to" versions={pages.items} value={now} choose={(version) => go({ new: version })} />
        {ready && (
          <Button size="sm" variant="outline" onClick={() => go({ old: now, new: old })}>
            Swap
          </Button>
        )}
      </HStack>
      <State answer={pages.error ? pages : answer} />
      {!ready && !pages.loading && !pages.error && <Note>{alone}</Note>}
      {answer.data && <Between found={answer.data} names={[`${name}@${old}`, `${name}@${now}`]} />}
    </Box>
  );
}
