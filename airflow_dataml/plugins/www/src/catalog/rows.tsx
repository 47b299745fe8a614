// Assets as rows: what each is, how it stands, who answers for it.

import { Badge, Box, Button, HStack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { AssetRow } from "../api/types";
import { assetPath } from "../ui/paths";
import { type Column, Go, Mark, Muted, Rows } from "../ui/pieces";
import { ago, cut, duration, kinds, number, utc } from "../ui/words";
import type { Narrow, Word } from "./asked";

/** A value that narrows the list down to what shares it. */
function By({ name, value, narrow }: { name: Word; value: string; narrow: Narrow | null }) {
  if (!narrow) return <span>{value}</span>;
  return (
    <Button
      size="2xs"
      variant="ghost"
      px={1}
      aria-label={`Only ${name} ${value}`}
      onClick={() => narrow({ [name]: value })}
    >
      {value}
    </Button>
  );
}

/** When it was written last, against what was promised. */
export function Freshness({ asset }: { asset: Pick<AssetRow, "last_write" | "freshness_s" | "stale"> }): ReactNode {
  if (!asset.last_write && !asset.freshness_s) return <Muted>-</Muted>;
  return (
    <Box>
      <Text title={`${utc(asset.last_write)} UTC`} whiteSpace="nowrap">
        {asset.last_write ? ago(asset.last_write) : "never"}
      </Text>
      {asset.freshness_s !== null && (
        <HStack gap={1}>
          <Mark text={asset.stale ? "late" : "fresh"} />
          <Muted fontSize="xs">{`promised every ${duration(asset.freshness_s)}`}</Muted>
        </HStack>
      )}
    </Box>
  );
}

function columnsOf(narrow: Narrow | null): Column<AssetRow>[] {
  return [
    {
      title: "Name",
      cell: (a) => (
        <Box>
          <Go to={assetPath(a.name)}>{a.name}</Go>
          {a.status !== "active" && <Mark text={a.status} />}
          {a.description && (
            <Text fontSize="xs" color="fg.muted" title={a.description}>
              {cut(a.description, 90)}
            </Text>
          )}
        </Box>
      ),
    },
    { title: "Kind", cell: (a) => kinds(a) },
    { title: "Verdict", cell: (a) => <Mark text={a.verdict} /> },
    {
      title: "Open incidents",
      right: true,
      cell: (a) => (a.incidents ? <Badge colorPalette="red">{a.incidents}</Badge> : "-"),
    },
    { title: "Last write", cell: (a) => <Freshness asset={a} /> },
    { title: "Version", right: true, cell: (a) => (a.version ? `@${a.version}` : "-") },
    { title: "Rows", right: true, cell: (a) => number(a.rows) },
    { title: "Owner", cell: (a) => (a.owner ? <By name="owner" value={a.owner} narrow={narrow} /> : <Muted>-</Muted>) },
    {
      title: "Tags",
      cell: (a) => (
        <HStack gap={1} wrap="wrap">
          {a.tags.map((tag) => (
            <By key={tag} name="tag" value={tag} narrow={narrow} />
          ))}
        </HStack>
      ),
    },
    {
      title: "Written by",
      cell: (a) => (a.producers[0] ? <By name="producer" value={a.producers[0]} narrow={narrow} /> : <Muted>-</Muted>),
    },
  ];
}

interface AssetRowsProps {
  rows: AssetRow[];
  label: string;
  empty?: string;
  /** Narrows the list down to what shares a value; ``null`` where there is nothing to narrow. */
  narrow: Narrow | null;
}

export function AssetRows({ rows, label, empty, narrow }: AssetRowsProps) {
  return <Rows columns={columnsOf(narrow)} rows={rows} id={(a) => a.name} label={label} empty={empty} />;
}
