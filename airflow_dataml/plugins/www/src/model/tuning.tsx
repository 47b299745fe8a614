// Tunings of a model: the newest drawn, and the way to earlier ones.

import { Box, HStack, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { ReportRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Column, Go, Mark, More, Note, Rows, Section, State } from "../ui/pieces";
import { utc, words } from "../ui/words";
import { Trials } from "./trials";

const EMPTY =
  "Nothing was tuned yet. A ModelTuneOperator tries settings of a training spec, for accuracy, latency or both.";

const COLUMNS = (name: string): Column<ReportRow>[] => [
  {
    title: "Report",
    cell: (r) => <Go to={assetPath(name, { tab: "tuning", report: r.report_id })}>{String(r.report_id)}</Go>,
  },
  { title: "At (UTC)", cell: (r) => <Text whiteSpace="nowrap">{utc(r.created_at)}</Text> },
  { title: "Verdict", cell: (r) => <Mark text={r.verdict} /> },
  { title: "Found", cell: (r) => words(r.summary) },
];

export default function Tuning({ asset, report }: AssetPlaceProps) {
  const { name } = asset;
  const pages = usePages(at("/assets/{name}/reports", { name, kind: "tuning", limit: 20 }));
  const id = report ?? pages.items[0]?.report_id;
  const answer = useAnswer(id ? at("/reports/{report_id}", { report_id: id }) : null);
  const shown = answer.data;
  return (
    <Box>
      <State answer={pages} />
      {pages.first && !pages.items.length && <Note>{EMPTY}</Note>}
      {id && <State answer={answer} />}
      {shown?.kind === "tuning" && (
        <Section title={`Tuning ${shown.report_id}`}>
          <HStack gap={2}>
            <Mark text={shown.verdict} />
            <Text>{words(shown.body.summary)}</Text>
          </HStack>
          <Trials body={shown.body} />
        </Section>
      )}
      {pages.items.length > 1 && (
        <Section title="All tunings">
          <Rows columns={COLUMNS(name)} rows={pages.items} id={(r) => r.report_id} label="Tunings" />
          <More pages={pages} />
        </Section>
      )}
    </Box>
  );
}
