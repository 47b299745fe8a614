// The columns of one version: how many values are missing, how they are spread.

import { Box, HStack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { ColumnProfile } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { Distribution, Share } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Alert, type Column, Muted, Note, Rows, State } from "../ui/pieces";
import { cut, number, share } from "../ui/words";
import { VersionPicker } from "./picker";

/** The least or the most of a column, whatever its type. */
export function Extreme({ value }: { value: unknown }): ReactNode {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return number(value);
  const text = String(value).replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ");
  return text.length > 25 ? <span title={text}>{cut(text, 25)}</span> : text;
}

function Nulls({ column }: { column: ColumnProfile }) {
  const said = `${number(column.nulls)} of its values are missing (${share(column.share)})`;
  return (
    <HStack gap={2} justify="flex-end">
      <span>{share(column.share)}</span>
      <Share value={column.share ?? 0} title={said} />
    </HStack>
  );
}

function Shape({ column }: { column: ColumnProfile }) {
  if (column.nulls === null) return <Muted>not profiled</Muted>;
  if (column.masked) return <Muted>masked by the contract</Muted>;
  if (column.chart)
    return <Distribution chart={column.chart} label={column.name} axis={column.chart.kind !== "values"} />;
  const { min, max } = column.length ?? {};
  if (max !== null && max !== undefined) return <Muted>{`${number(min)} to ${number(max)} characters`}</Muted>;
  return <Muted>-</Muted>;
}

const known = (cell: (column: ColumnProfile) => ReactNode) => (column: ColumnProfile) =>
  column.nulls === null ? "-" : cell(column);
const COLUMNS: Column<ColumnProfile>[] = [
  {
    title: "Column",
    cell: (c) => (
      <Box>
        <Text fontWeight="medium">{c.name}</Text>
        <Muted fontSize="xs">{c.type}</Muted>
      </Box>
    ),
  },
  { title: "Missing", right: true, cell: known((c) => <Nulls column={c} />) },
  { title: "Distinct", right: true, cell: known((c) => `${c.sampled ? "≈ " : ""}${number(c.distinct)}`) },
  { title: "Least", right: true, cell: known((c) => <Extreme value={c.min} />) },
  {
    title: "Mean",
    right: true,
    cell: known((c) => (
      <span title={c.std === null ? undefined : `standard deviation ${number(c.std)}`}>{number(c.mean)}</span>
    )),
  },
  { title: "Most", right: true, cell: known((c) => <Extreme value={c.max} />) },
  { title: "Distribution", cell: (c) => <Shape column={c} /> },
];

export default function Profile({ asset, chosen }: AssetPlaceProps) {
  const navigate = useNavigate();
  const versions = usePages(at("/assets/{name}/versions", { name: asset.name, limit: 200 }));
  const answer = useAnswer(chosen ? at("/assets/{name}/profile", { name: asset.name, version: chosen }) : null);
  const profile = answer.data;
  if (!chosen) return <Note>No version yet.</Note>;
  return (
    <Box mt={4}>
      <Box mb={3}>
        <VersionPicker
          label="Version"
          versions={versions.items}
          value={chosen}
          choose={(version) => navigate(assetPath(asset.name, { tab: "profile", version }))}
        />
      </Box>
      <State answer={answer} />
      {profile?.missing && (
        <Alert status="warning" mb={3}>
          {profile.missing}
        </Alert>
      )}
      {profile && (
        <Rows
          rows={profile.columns}
          id={(c) => c.name}
          columns={COLUMNS}
          empty="The version has no columns."
          label={`Columns of @${chosen}`}
        />
      )}
      {profile && (
        <Muted fontSize="sm">{`${number(profile.rows)} rows. Made when each batch was staged, and merged here; ≈ rests on a sample.`}</Muted>
      )}
    </Box>
  );
}
