// What changes of a dataset would do to models, and where its rows went: reports of both, one of them in full.

import { Box, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { type Pages, usePages } from "../api/reading";
import type { ReportRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { ChosenReport } from "../reports/reports";
import { assetPath } from "../ui/paths";
import { type Column, Command, Go, Mark, More, Muted, Rows, Section, State } from "../ui/pieces";
import { utc, words } from "../ui/words";

const columnsOf = (name: string): Column<ReportRow>[] => [
  {
    title: "Report",
    cell: (r) => <Go to={assetPath(name, { tab: "impact", report: r.report_id })}>{`${r.kind} ${r.report_id}`}</Go>,
  },
  { title: "At (UTC)", cell: (r) => <Text whiteSpace="nowrap">{utc(r.created_at)}</Text> },
  { title: "Verdict", cell: (r) => <Mark text={r.verdict} /> },
  { title: "Decided", cell: (r) => <Mark text={r.action === "list" ? null : r.action} /> },
  { title: "Found", cell: (r) => words(r.summary) },
];

interface ListProps {
  name: string;
  title: string;
  empty: string;
  pages: Pages<ReportRow, unknown>;
  chosen: number | null;
}

function List({ name, title, empty, pages, chosen }: ListProps) {
  return (
    <Section title={title}>
      <State answer={pages} />
      {pages.first !== undefined && (
        <Rows
          columns={columnsOf(name)}
          rows={pages.items}
          id={(r) => r.report_id}
          marked={(r) => r.report_id === chosen}
          label={title}
          empty={empty}
        />
      )}
      <More pages={pages} />
    </Section>
  );
}

export default function Impact({ asset, report }: AssetPlaceProps) {
  const { name } = asset;
  const impacts = usePages(at("/assets/{name}/reports", { name, kind: "impact", limit: 10 }));
  const reaches = usePages(at("/assets/{name}/reports", { name, kind: "reach", limit: 10 }));
  const newest = [impacts.items[0], reaches.items[0]].flatMap((one) => one?.report_id ?? []).sort((a, b) => b - a)[0];
  const chosen = report ?? (impacts.loading || reaches.loading ? null : (newest ?? null));
  return (
    <Box>
      {chosen && <ChosenReport key={chosen} id={chosen} />}
      <List
        name={name}
        title="Changes that were proposed"
        empty="Nobody has asked what a change would do to models."
        pages={impacts}
        chosen={chosen}
      />
      <Muted fontSize="sm">{"Ask before a column goes: "}</Muted>
      <Command>{`dataml impact ${name} --drop <column>`}</Command>
      <List
        name={name}
        title="Rows that are to be forgotten"
        empty="Nobody has asked where rows of it went."
        pages={reaches}
        chosen={chosen}
      />
      <Muted fontSize="sm">{"Ask where rows went: "}</Muted>
      <Command>{`dataml reach ${name} <key column>=<value>`}</Command>
    </Box>
  );
}
