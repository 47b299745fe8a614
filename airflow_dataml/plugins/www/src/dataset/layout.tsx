// How a dataset is kept: where readers find it, its keys, and what every part of it gets before it is published.

import { Box, Code } from "@chakra-ui/react";
import type { AssetPlaceProps } from "../pages/asset";
import { type Column, type Fact, Facts, Note, Rows, Section } from "../ui/pieces";
import { size, words } from "../ui/words";

interface Index {
  columns?: string[];
  unique?: boolean;
  method?: string;
  where?: string;
  definition?: string;
  why?: string;
}

interface Grant {
  role: string;
  privileges?: string[];
  grantable?: boolean;
}

interface LayoutFacts {
  keys?: string[];
  indexes?: Index[];
  defaults?: Record<string, unknown>;
  column_comments?: Record<string, unknown>;
  grants?: Grant[];
  partition_column?: string;
  comment?: string;
}

interface Location {
  table?: string;
  conn_id?: string;
  store?: string;
  path?: string;
  uri?: string;
  producer?: string;
  published?: string[];
  layout?: LayoutFacts;
}

const INDEXES: Column<Index>[] = [
  { title: "Columns", cell: (index) => (index.columns ?? []).join(", ") },
  { title: "Unique", cell: (index) => (index.unique ? "within each part" : "-") },
  { title: "Method", cell: (index) => (index.definition ? "-" : (index.method ?? "btree")) },
  { title: "Rows", cell: (index) => words(index.where ?? index.definition ?? "all") },
  { title: "Why", cell: (index) => index.why ?? "declared" },
];
const GRANTS: Column<Grant>[] = [
  { title: "Role", cell: (grant) => grant.role },
  { title: "May", cell: (grant) => (grant.privileges ?? ["SELECT"]).join(", ") },
  { title: "Pass it on", cell: (grant) => (grant.grantable ? "yes" : "no") },
];

function indexesOf({ indexes = [], keys = [] }: LayoutFacts): Index[] {
  const covered = indexes.some((index) => index.unique && !index.where && String(index.columns) === String(keys));
  return keys.length && !covered ? [{ columns: keys, unique: true, why: "the key" }, ...indexes] : indexes;
}

function Named({ title, pairs }: { title: string; pairs: Fact[] }) {
  if (!pairs.length) return null;
  return (
    <Section title={title}>
      <Facts pairs={pairs} />
    </Section>
  );
}

export default function Layout({ asset }: AssetPlaceProps) {
  const location = asset.location as Location;
  const layout = location.layout ?? {};
  const keys = layout.keys ?? [];
  const grants = layout.grants ?? [];
  const places = (location.published ?? []).filter((place) => place !== location.table);
  return (
    <Box>
      <Section title="Place">
        <Facts
          pairs={[
            ["Table", location.table],
            ["Connection", location.conn_id],
            ["Kept as", location.store],
            ["Path", location.path ?? location.uri],
            ["Also read at", places.join(", ")],
            ["Written by", location.producer],
            ["Partition column", layout.partition_column],
            ["Comment", layout.comment],
            ["Kept in all", asset.bytes ? size(asset.bytes) : null],
          ]}
        />
      </Section>
      <Section title="Key">
        {keys.length ? (
          <Code>{keys.join(", ")}</Code>
        ) : (
          <Note>None declared: merges need one, and diffs match whole rows.</Note>
        )}
      </Section>
      <Section title="Indexes">
        <Rows rows={indexesOf(layout)} columns={INDEXES} id={(_, at) => at} empty="None declared." label="Indexes" />
      </Section>
      <Named title="Defaults" pairs={Object.entries(layout.defaults ?? {})} />
      <Named title="Comments on columns" pairs={Object.entries(layout.column_comments ?? {})} />
      {grants.length > 0 && (
        <Section title="Grants">
          <Rows rows={grants} columns={GRANTS} id={(grant) => grant.role} label="Grants" />
        </Section>
      )}
    </Box>
  );
}
