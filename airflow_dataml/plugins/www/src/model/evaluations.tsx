// Champion against challenger: paired differences with their intervals, and one comparison in full.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { Estimate, EvaluationRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Column, Facts, Go, Mark, More, Muted, NodeName, Note, Rows, Section, State } from "../ui/pieces";
import { number, utc } from "../ui/words";
import { Forest, type Line } from "./forest";
import { By, Reasons } from "./history";

const EMPTY =
  "Nothing was evaluated yet. A ModelEvaluateOperator measures a version against the champion on the same held-out rows.";

export function interval(value: Estimate | null): string {
  if (!value) return "-";
  const { estimate, low, high } = value;
  return low === null || high === null ? number(estimate) : `${number(estimate)} [${number(low)}, ${number(high)}]`;
}

/** Who was measured against whom, as short as it can be told. */
export function pair(row: EvaluationRow): string {
  const short = (who: string | undefined) => (who && who.lastIndexOf("@") > 0 ? who.slice(who.lastIndexOf("@")) : who);
  return `${short(row.challenger?.who) ?? "?"} against ${short(row.opponent?.who) ?? "?"}`;
}

function metric(row: EvaluationRow | undefined): string {
  return (row?.metric ?? "loss").replaceAll("_", " ");
}

function Differences({ name, rows, chosen }: { name: string; rows: EvaluationRow[]; chosen: number | undefined }) {
  const navigate = useNavigate();
  const lines = rows.map((row): Line => ({
    id: row.report_id,
    label: pair(row),
    told: row.difference ? `${interval(row.difference)}, ${row.verdict}` : row.verdict,
    interval: row.difference,
    verdict: row.verdict,
    chosen: row.report_id === chosen,
    go: () => navigate(assetPath(name, { tab: "evaluation", report: row.report_id })),
  }));
  const margins = [...new Set(rows.map((row) => row.margin).filter((value): value is number => Boolean(value)))];
  const marks = [
    { at: 0, label: "no difference" },
    ...margins.map((margin) => ({
      at: -margin,
      label: margin > 0 ? `better by the margin of ${margin}` : `worse by the ${-margin} that is borne`,
      dashed: true,
    })),
  ];
  return (
    <Box overflowX="auto" tabIndex={0} role="region" aria-label="Differences with their intervals">
      <Forest
        label={`Challenger minus opponent, mean ${metric(rows[0])}`}
        lines={lines}
        marks={marks}
        sides={["challenger better", "challenger worse"]}
      />
    </Box>
  );
}

function Losses({ row }: { row: EvaluationRow }) {
  const sides = [row.challenger, row.opponent].filter((side) => side !== null);
  const lines = sides.map((side, at): Line => ({
    id: at,
    label: `${side.who}${at ? "" : " (challenger)"}`,
    told: interval(side.loss) + (side.auc === null ? "" : `, AUC ${number(side.auc)}`),
    interval: side.loss,
  }));
  return (
    <Box overflowX="auto" mt={3} tabIndex={0} role="region" aria-label={`Mean ${metric(row)} of both`}>
      <Forest label={`Mean ${metric(row)}`} lines={lines} />
    </Box>
  );
}

function Decided({ name, row }: { name: string; row: EvaluationRow }) {
  const { decision } = row;
  if (!decision) return <Note>No decision was taken on it.</Note>;
  return (
    <Box>
      <HStack gap={2}>
        <Mark text={decision.action} />
        <Go to={assetPath(name, { tab: "decisions", report: decision.report_id })}>{`report ${decision.report_id}`}</Go>
        <Muted>{`${utc(decision.created_at)} UTC`}</Muted>
      </HStack>
      <Reasons reasons={decision.reasons} />
    </Box>
  );
}

function Whole({ name, row }: { name: string; row: EvaluationRow }) {
  return (
    <Section title={`Evaluation ${row.report_id}: ${pair(row)}`}>
      <HStack gap={2} mb={2} wrap="wrap">
        <Mark text={row.verdict} />
        <Muted>{`${utc(row.created_at)} UTC`}</Muted>
        {row.summary && <Text>{row.summary}</Text>}
      </HStack>
      <Losses row={row} />
      <Box mt={3}>
        <Facts
          pairs={[
            ["Challenger", row.version && <NodeName key="c" label={`${name}@${row.version}`} />],
            ["Champion then", row.champion ? <NodeName key="o" label={row.champion} /> : "there was none"],
            ["Paired difference", interval(row.difference)],
            ["Confidence", row.difference?.level ? `${number(row.difference.level * 100)} %` : null],
            [
              (row.margin ?? 0) < 0 ? "May be worse by" : "Must be better by",
              row.margin === null ? null : number(Math.abs(row.margin)),
            ],
            ["Rows held out", row.rows],
            ["Rows at least", row.min_rows],
            ["Of", row.dataset && <NodeName key="d" label={row.dataset} />],
            ["From", row.cut],
            ["By", <By key="by" run={row} />],
          ]}
        />
      </Box>
      <Section title="What was decided on it">
        <Decided name={name} row={row} />
      </Section>
    </Section>
  );
}

const COLUMNS = (name: string): Column<EvaluationRow>[] => [
  {
    title: "Report",
    cell: (e) => <Go to={assetPath(name, { tab: "evaluation", report: e.report_id })}>{String(e.report_id)}</Go>,
  },
  { title: "At (UTC)", cell: (e) => <Text whiteSpace="nowrap">{utc(e.created_at)}</Text> },
  { title: "Verdict", cell: (e) => <Mark text={e.verdict} /> },
  { title: "Challenger", cell: (e) => e.challenger?.who ?? "-" },
  { title: "Loss", right: true, cell: (e) => interval(e.challenger?.loss ?? null) },
  { title: "AUC", right: true, cell: (e) => number(e.challenger?.auc) },
  { title: "Against", cell: (e) => e.opponent?.who ?? "-" },
  { title: "Its loss", right: true, cell: (e) => interval(e.opponent?.loss ?? null) },
  { title: "Difference", right: true, cell: (e) => interval(e.difference) },
  { title: "Decision", cell: (e) => <Mark text={e.decision?.action} /> },
];

export default function Evaluations({ asset, report }: AssetPlaceProps) {
  const { name } = asset;
  const pages = usePages(at("/models/{model}/evaluations", { model: name }));
  const listed = pages.items.find((row) => row.report_id === report);
  // The evaluation of a link may be older than what the list has reached.
  const asked =
    report && pages.first && !listed
      ? at("/models/{model}/evaluations", { model: name, before: report + 1, limit: 1 })
      : null;
  const older = useAnswer(asked).data?.items[0];
  const row = listed ?? (older?.report_id === report ? older : undefined) ?? pages.items[0];
  return (
    <Box>
      <State answer={pages} />
      {pages.first && !pages.items.length && <Note>{EMPTY}</Note>}
      {pages.items.length > 0 && (
        <Section title={`Challenger minus opponent, mean ${metric(row)}`}>
          <Differences name={name} rows={pages.items} chosen={row?.report_id} />
          <Muted fontSize="sm">
            Both models scored the same held-out rows. The challenger takes over only where its whole interval lies left
            of the line.
          </Muted>
        </Section>
      )}
      {row && <Whole key={row.report_id} name={name} row={row} />}
      {pages.items.length > 0 && (
        <Section title="All evaluations">
          <Rows
            columns={COLUMNS(name)}
            rows={pages.items}
            id={(e) => e.report_id}
            marked={(e) => e.report_id === row?.report_id}
            label="Evaluations"
          />
          <More pages={pages} />
        </Section>
      )}
    </Box>
  );
}
