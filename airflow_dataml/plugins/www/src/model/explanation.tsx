// What a version's scores rest on: how much worse it gets without each feature, per slice, and for the extremes.

import { Box, Text } from "@chakra-ui/react";
import { useState } from "react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { AssetPlaceProps } from "../pages/asset";
import { finite, intervalOf, isObject, type Json, objects } from "../reports/json";
import { type Column, Facts, Muted, NodeName, Note, Rows, Section, State } from "../ui/pieces";
import { number, share, utc, words } from "../ui/words";
import { Forest, type Line } from "./forest";

const EMPTY =
  "This version was not explained yet. A ModelExplainOperator measures what its scores rest on, on the rows held out.";
const SHOWN = 20;

/** The features as lines of a drawing, the most important first. */
export function linesOf(features: unknown): Line[] {
  return objects(features).map((one): Line => {
    const importance = intervalOf(one.importance);
    return {
      id: words(one.feature),
      label: words(one.feature),
      told: `${importance ? number(importance.estimate) : "-"}, ${share(finite(one.share) ?? 0)} of all`,
      interval: importance,
    };
  });
}

/** What a group of rows is called where several are to choose from. */
function sliceName(slice: Json): string {
  return `${words(slice.column)}: ${words(slice.value)} (${number(finite(slice.rows) ?? 0)} rows)`;
}

function Importances({ body }: { body: Json }) {
  const [chosen, choose] = useState("");
  const [all, showAll] = useState(false);
  const slices = objects(body.slices);
  const slice = slices.find((one) => sliceName(one) === chosen);
  const lines = linesOf((slice ?? body).features);
  const metric = words(body.metric).replaceAll("_", " ");
  const label = `Growth of the mean ${metric} where the feature says nothing`;
  return (
    <Section title={label}>
      {slices.length > 0 && (
        <label>
          <Text as="span" mr={2}>
            Rows
          </Text>
          <select value={chosen} onChange={(event) => choose(event.target.value)} style={{ padding: "4px" }}>
            <option value="">{`all ${number(finite(body.rows) ?? 0)}`}</option>
            {slices.map((one) => (
              <option key={sliceName(one)}>{sliceName(one)}</option>
            ))}
          </select>
        </label>
      )}
      <Box overflowX="auto" mt={2} tabIndex={0} role="region" aria-label={label}>
        <Forest label={label} lines={all ? lines : lines.slice(0, SHOWN)} marks={[{ at: 0, label: "nothing lost" }]} />
      </Box>
      {!lines.length && <Note>Too few rows to explain.</Note>}
      {lines.length > SHOWN && (
        <label>
          <input type="checkbox" checked={all} onChange={() => showAll(!all)} /> {`all ${lines.length} features`}
        </label>
      )}
      <Muted fontSize="sm">
        Each feature in turn is shuffled over the rows held out. The intervals are over the repeats; a feature whose
        interval holds zero could be left out.
      </Muted>
    </Section>
  );
}

const DRIFT: Column<Json>[] = [
  { title: "Feature", cell: (one) => words(one.feature) },
  {
    title: "Share of importance",
    right: true,
    cell: (one) => `${(finite(one.change) ?? 0) > 0 ? "+" : ""}${number(100 * (finite(one.change) ?? 0))} points`,
  },
];

function Moved({ drift }: { drift: Json }) {
  const moved = objects(drift.shares).filter((one) => Math.abs(finite(one.change) ?? 0) >= 0.005);
  return (
    <Section title={`Since ${words(drift.against)}`}>
      <Text mb={2}>
        {`${share(finite(drift.share_shift) ?? 0)} of the importance lies on other features`}
        {finite(drift.rank_correlation) === null
          ? "."
          : `; the order of the features correlates by ${number(finite(drift.rank_correlation) ?? 0)}.`}
      </Text>
      {moved.length > 0 && <Rows columns={DRIFT} rows={moved} id={(one) => words(one.feature)} label="What moved" />}
    </Section>
  );
}

const OWED: Column<Json>[] = [
  {
    title: "Row",
    cell: (one) =>
      Object.entries(isObject(one.key) ? one.key : {})
        .map(([name, value]) => `${name} ${words(value)}`)
        .join(", "),
  },
  { title: "Score", right: true, cell: (one) => `${number(finite(one.score) ?? 0)} (${words(one.end)})` },
  { title: "Label", right: true, cell: (one) => words(one.label) },
  {
    title: "It owes most to",
    cell: (one) =>
      objects(one.features)
        .slice(0, 4)
        .map(
          (f) =>
            `${words(f.feature)} ${(finite(f.contribution) ?? 0) > 0 ? "+" : ""}${number(finite(f.contribution) ?? 0)}`,
        )
        .join(", "),
  },
];

/** An explanation as it was kept, drawn. */
export function Explained({ body }: { body: Json }) {
  const predictions = objects(body.predictions);
  return (
    <Box>
      <Importances body={body} />
      {isObject(body.drift) && <Moved drift={body.drift} />}
      {predictions.length > 0 && (
        <Section title="The highest and lowest scores, one by one">
          <Rows columns={OWED} rows={predictions} id={(_, at) => at} label="Extreme scores" />
        </Section>
      )}
    </Box>
  );
}

export default function Explanation({ asset, chosen }: AssetPlaceProps) {
  const { name } = asset;
  const list = useAnswer(
    chosen ? at("/assets/{name}/reports", { name, version: chosen, kind: "explanation", limit: 1 }) : null,
  );
  const newest = list.data?.items[0];
  const answer = useAnswer(newest ? at("/reports/{report_id}", { report_id: newest.report_id }) : null);
  const report = answer.data;
  return (
    <Box>
      <State answer={list} />
      {list.data && !newest && <Note>{EMPTY}</Note>}
      {newest && <State answer={answer} />}
      {report && (
        <>
          <Box mt={4}>
            <Facts
              pairs={[
                ["Version", <NodeName key="v" label={words(report.body.version)} />],
                ["Measured on", <NodeName key="d" label={words(report.body.dataset)} />],
                [
                  "Rows used",
                  `${number(finite(report.body.rows) ?? 0)} of ${number(finite(report.body.holdout_rows) ?? 0)} held out`,
                ],
                ["At (UTC)", utc(report.created_at)],
              ]}
            />
          </Box>
          <Explained body={report.body} />
        </>
      )}
    </Box>
  );
}
