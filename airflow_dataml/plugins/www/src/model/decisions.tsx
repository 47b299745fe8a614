// What was decided about a model: promotions and retrainings with their reasons, and who did what to it.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { DecisionRow } from "../api/types";
import { AuditRows } from "../governance/audit";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath, path } from "../ui/paths";
import { type Column, Go, Mark, More, Muted, Rows, Section, State, Toggle } from "../ui/pieces";
import { utc } from "../ui/words";
import { By, Reasons } from "./history";

function Grounds({ name, decision }: { name: string; decision: DecisionRow }) {
  const { evaluation, monitor, partition_key } = decision;
  if (evaluation)
    return <Go to={assetPath(name, { tab: "evaluation", report: evaluation })}>{`evaluation ${evaluation}`}</Go>;
  if (!monitor) return <Muted>-</Muted>;
  return (
    <Box>
      <Go to={assetPath(name, { tab: "monitoring", report: monitor })}>{`window ${monitor}`}</Go>
      {partition_key && <Muted>{`, batch ${partition_key}`}</Muted>}
    </Box>
  );
}

const COLUMNS = (name: string): Column<DecisionRow>[] => [
  { title: "At (UTC)", cell: (d) => <Text whiteSpace="nowrap">{utc(d.created_at)}</Text> },
  { title: "Decision", cell: (d) => <Mark text={d.action} /> },
  {
    title: "Version",
    cell: (d) => (d.version ? <Go to={assetPath(name, { version: d.version })}>{`@${d.version}`}</Go> : "-"),
  },
  { title: "Why", cell: (d) => <Reasons reasons={d.reasons} /> },
  { title: "On", cell: (d) => <Grounds name={name} decision={d} /> },
  {
    title: "Led to",
    cell: (d) =>
      d.answered_by ? (
        <Go to={assetPath(name, { version: d.answered_by })}>{`@${d.answered_by}`}</Go>
      ) : (
        <Muted>{d.action === "retrain" ? "not trained yet" : "-"}</Muted>
      ),
  },
  { title: "By", cell: (d) => <By run={d} /> },
];

export default function Decisions({ asset, report, query }: AssetPlaceProps) {
  const { name } = asset;
  const navigate = useNavigate();
  const waits = query.has("waits");
  const pages = usePages(at("/models/{model}/decisions", { model: name, waits }));
  const entries = usePages(at("/audit", { subject: name, limit: 20 }));
  return (
    <Box>
      <Section title="Decisions">
        <HStack mb={2}>
          <Toggle on={waits} flip={() => navigate(assetPath(name, { tab: "decisions", report, waits: !waits }))}>
            Decisions to wait too
          </Toggle>
        </HStack>
        <State answer={pages} />
        {pages.first && (
          <Rows
            columns={COLUMNS(name)}
            rows={pages.items}
            id={(d) => d.report_id}
            marked={(d) => d.report_id === report}
            label="Decisions"
            empty={
              waits
                ? "Nothing was decided yet: evaluations and monitored windows lead to decisions."
                : "Nothing but to wait was decided yet."
            }
          />
        )}
        <More pages={pages} />
      </Section>
      <Section title="In the audit chain">
        <State answer={entries} />
        {entries.first && <AuditRows rows={entries.items} empty="The chain has no entry about this model." />}
        <Text mt={2}>
          <Go to={path("audit", { subject: name })}>All of them, and whether the chain holds</Go>
        </Text>
      </Section>
    </Box>
  );
}
