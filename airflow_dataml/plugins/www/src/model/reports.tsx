// Reports on a model: the one that was asked for in full, and all of the chosen version.

import { Box, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { AssetPlaceProps } from "../pages/asset";
import { ChosenReport, Reports as Cards } from "../reports/reports";
import { assetPath } from "../ui/paths";
import { Go, Note, Section } from "../ui/pieces";

const DRAWN: Record<string, [tab: string, title: string]> = {
  evaluation: ["evaluation", "Drawn, beside other evaluations"],
  monitor: ["monitoring", "Drawn, beside other windows"],
  decision: ["decisions", "Beside other decisions"],
  tuning: ["tuning", "Drawn, beside other tunings"],
};

/** Links of tasks lead to a report; from there it is one step to where it is drawn. */
function Drawn({ name, id }: { name: string; id: number }) {
  const report = useAnswer(at("/reports/{report_id}", { report_id: id })).data;
  const [tab, title] = DRAWN[report?.kind ?? ""] ?? [];
  if (!tab) return null;
  return (
    <Text mt={3}>
      <Go to={assetPath(name, { tab, report: id })}>{title}</Go>
    </Text>
  );
}

export default function Reports({ asset, chosen, report }: AssetPlaceProps) {
  return (
    <Box>
      {report && <Drawn key={`drawn ${report}`} name={asset.name} id={report} />}
      {report && <ChosenReport key={report} id={report} />}
      {chosen ? (
        <Section title={`Reports of @${chosen}`}>
          <Cards key={chosen} name={asset.name} version={chosen} />
        </Section>
      ) : (
        <Note>No version yet, so nothing was reported on one.</Note>
      )}
    </Box>
  );
}
