// Incidents as rows, for their own page and for the page of an asset.

import { Box, Text } from "@chakra-ui/react";
import type { IncidentRow } from "../api/types";
import { assetPath, path } from "../ui/paths";
import { type Column, Go, Mark, Muted, Rows } from "../ui/pieces";
import { ago, utc } from "../ui/words";

export function incidentPath(id: number): string {
  return path(`incident/${id}`);
}

const COLUMNS: Column<IncidentRow>[] = [
  { title: "Incident", cell: (i) => <Go to={incidentPath(i.incident_id)}>{`#${i.incident_id}`}</Go> },
  {
    title: "What",
    cell: (i) => (
      <Box>
        <Go to={incidentPath(i.incident_id)}>{i.title}</Go>
        {i.resolution && <Text color="fg.muted">{i.resolution}</Text>}
      </Box>
    ),
  },
  { title: "Asset", cell: (i) => <Go to={assetPath(i.asset)}>{i.asset}</Go> },
  { title: "Kind", cell: (i) => i.kind },
  { title: "Severity", cell: (i) => <Mark text={i.severity} /> },
  {
    title: "State",
    cell: (i) => (
      <Box>
        <Mark text={i.state} />
        {i.assignee && <Muted fontSize="xs">{` ${i.assignee}`}</Muted>}
      </Box>
    ),
  },
  {
    title: "Opened (UTC)",
    cell: (i) => (
      <Text whiteSpace="nowrap" title={ago(i.opened_at)}>
        {utc(i.opened_at)}
      </Text>
    ),
  },
];

export function IncidentRows({ rows, empty = "No incident." }: { rows: IncidentRow[]; empty?: string }) {
  return <Rows columns={COLUMNS} rows={rows} id={(i) => i.incident_id} empty={empty} label="Incidents" />;
}
