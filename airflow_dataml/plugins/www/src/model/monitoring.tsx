// Drift and performance of a model over its windows, against the data it was trained on.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { Shift, WindowRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import {
  Alert,
  type Column,
  Facts,
  Go,
  Mark,
  More,
  Muted,
  NodeName,
  Note,
  Rows,
  Section,
  State,
  Toggle,
} from "../ui/pieces";
import { number, utc } from "../ui/words";
import { isObject } from "../reports/json";
import { interval } from "./evaluations";
import { EvidenceOverTime } from "./evidence";
import { Expected } from "./expected";
import { growth, inputsOf, predictionsOf, windowName } from "./heat";
import { HeatLegend, HeatMap } from "./heatmap";
import { By, Reasons } from "./history";
import { Attribution, AttributionOverTime, OwnMetrics } from "./metrics";
import { Slices } from "./slices";
import { unwatched } from "./watch";

const SHOWN = 24;
const EMPTY =
  "Nothing was observed yet. A MonitorOperator compares each scored batch with the data the champion was trained on.";
const KINDS: Record<string, string> = {
  decay: "The model does worse",
  prediction_drift: "Its predictions moved",
  input_drift: "Its inputs moved",
  estimated_decay: "It is expected to do worse, without labels",
  attribution_drift: "Its predictions rest on other features",
  late: "Never came in time",
  metric_failed: "A metric of one's own failed",
  metric_warned: "A metric of one's own warns",
};

const SHIFTS: Column<Shift>[] = [
  { title: "Column", cell: (s) => s.column },
  { title: "Of", cell: (s) => (s.test === "missing" ? "missing values" : s.test) },
  { title: "PSI", right: true, cell: (s) => number(s.psi) },
  { title: "p", right: true, cell: (s) => (s.p_value !== null && s.p_value < 0.001 ? "< 0.001" : number(s.p_value)) },
  { title: "Rows", right: true, cell: (s) => number(s.rows) },
  { title: "Surely moved", cell: (s) => (s.drifted ? <Mark text="drifted" /> : <Muted>no</Muted>) },
];

/** Columns of one window, what moved most first. */
export function Shifts({ shifts, label }: { shifts: Shift[]; label: string }) {
  const sorted = [...shifts].sort((a, b) => Number(b.drifted) - Number(a.drifted) || (b.psi ?? 0) - (a.psi ?? 0));
  return (
    <Rows
      columns={SHIFTS}
      rows={sorted}
      id={(s) => `${s.column} ${s.test}`}
      label={label}
      empty="No column could be tested."
    />
  );
}

/** What is too long for a list of windows: slices, and what single predictions rest on. */
function Beside({ name, window }: { name: string; window: WindowRow }) {
  const answer = useAnswer(at("/reports/{report_id}", { report_id: window.report_id }));
  const { slices, attribution } = answer.data?.body ?? {};
  return (
    <Box>
      <State answer={answer} />
      {isObject(slices) && <Slices slices={slices} tolerance={window.tolerance} />}
      {isObject(attribution) && <Attribution name={name} attribution={attribution} />}
    </Box>
  );
}

function Whole({ name, window }: { name: string; window: WindowRow }) {
  const { now, released, decision } = window;
  const findings = Object.entries(window.findings).filter(([, texts]) => texts.length);
  return (
    <Section title={`Batch ${windowName(window)}`}>
      <HStack gap={2} mb={2} wrap="wrap">
        <Mark text={window.verdict} />
        <Muted>{`${utc(window.created_at)} UTC`}</Muted>
        <Go
          to={assetPath(name, { tab: "reports", report: window.report_id, version: window.version })}
        >{`report ${window.report_id}`}</Go>
      </HStack>
      {window.feed_broken.map((text) => (
        <Alert key={text} status="warning" mb={2}>
          {`Its data cannot be trusted: ${text}`}
        </Alert>
      ))}
      {findings.map(([kind, texts]) => (
        <Box key={kind} mb={2}>
          <Text fontWeight="bold">{KINDS[kind] ?? kind}</Text>
          {texts.map((text) => (
            <Text key={text}>{text}</Text>
          ))}
        </Box>
      ))}
      {!findings.length && !window.watch.warnings.length && <Note>Nothing moved beyond what is borne.</Note>}
      {window.watch.warnings.length > 0 && (
        <Box mb={2}>
          <Text fontWeight="bold">Warnings of this window alone</Text>
          {window.watch.warnings.map((text) => (
            <Text key={text}>{text}</Text>
          ))}
        </Box>
      )}
      <Facts
        pairs={[
          ["Model", window.model && <NodeName key="m" label={window.model} />],
          ["Trained on", window.reference && <NodeName key="r" label={window.reference} />],
          ["Features", window.features && <NodeName key="f" label={window.features} />],
          ["Predictions", window.predictions && <NodeName key="p" label={window.predictions} />],
          ["Rows", window.rows],
          ["PSI that is borne", window.tolerance],
          ["Loss now", now ? `${interval(now)} on ${number(now.n)} rows` : "no labels yet, or too few rows"],
          ["At release", released === null ? null : `${number(released)}${now ? ` (${growth(window)})` : ""}`],
          ["Borne up to", window.limit],
          ["Cannot be told of", window.blind.join(", ")],
          ["By", <By key="by" run={window} />],
        ]}
      />
      <Section title="What followed">
        {decision ? (
          <Box>
            <HStack gap={2}>
              <Mark text={decision.action} />
              <Go
                to={assetPath(name, { tab: "decisions", report: decision.report_id })}
              >{`report ${decision.report_id}`}</Go>
            </HStack>
            <Reasons reasons={decision.reasons} />
          </Box>
        ) : (
          <Note>No decision was taken on it.</Note>
        )}
      </Section>
      <Section title="Columns of this batch">
        <Shifts shifts={[...window.prediction, ...window.inputs]} label="Columns of this batch" />
      </Section>
      <Beside name={name} window={window} />
    </Section>
  );
}

export default function Monitoring({ asset, report }: AssetPlaceProps) {
  const { name } = asset;
  const pages = usePages(at("/models/{model}/windows", { model: name }));
  const [all, setAll] = useState(false);
  const windows = useMemo(() => [...pages.items].reverse(), [pages.items]);
  const inputs = useMemo(() => inputsOf(windows), [windows]);
  const predictions = useMemo(() => predictionsOf(windows), [windows]);
  const listed = pages.items.find((window) => window.report_id === report);
  const asked =
    report && pages.first && !listed
      ? at("/models/{model}/windows", { model: name, before: report + 1, limit: 1 })
      : null;
  const older = useAnswer(asked).data?.items[0];
  const window = listed ?? (older?.report_id === report ? older : undefined) ?? pages.items[0];
  const hidden = inputs.length - SHOWN;
  const shown = { name, windows, chosen: window };
  const silent = unwatched(windows);
  return (
    <Box>
      <State answer={pages} />
      {pages.first && !windows.length && <Note>{EMPTY}</Note>}
      {windows.length > 0 && (
        <Section title="Drift and performance over time">
          <HeatMap
            name={name}
            windows={windows}
            inputs={all ? inputs : inputs.slice(0, SHOWN)}
            predictions={predictions}
            chosen={window?.report_id ?? null}
          />
          <HeatLegend />
          <HStack gap={2} mt={2}>
            {hidden > 0 && (
              <Toggle on={all} flip={() => setAll(!all)}>
                {`${number(hidden)} more that moved less`}
              </Toggle>
            )}
            <More pages={pages} />
          </HStack>
        </Section>
      )}
      {windows.length > 0 && (
        <Box>
          <EvidenceOverTime {...shown} />
          <Expected {...shown} />
          <OwnMetrics {...shown} />
          <AttributionOverTime {...shown} />
          {silent.length > 0 && <Note>{`Not watched in these windows: ${silent.join("; ")}.`}</Note>}
        </Box>
      )}
      {window && <Whole key={window.report_id} name={name} window={window} />}
    </Box>
  );
}
