// Blame: which change of the data explains what went wrong, each with the score it would have had without it.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import { Forest, type Interval, type Line } from "../model/forest";
import { finite, isObject, type Json, objects, text, texts } from "../reports/json";
import { assetPath, labelPath } from "../ui/paths";
import { Alert, type Column, Facts, Go, Lines, Mark, Muted, NodeName, Note, Rows, State } from "../ui/pieces";
import { count, number, share, utc, words } from "../ui/words";

const OUTCOMES: Record<string, { status: "warning" | "info"; said: string }> = {
  confirmed: { status: "warning", said: "A data cause is confirmed" },
  "not confirmed": { status: "warning", said: "A data cause is suspected and not confirmed" },
  "no data cause found": { status: "info", said: "No data cause found" },
};

export interface Suspect {
  version: string;
  asset: string;
  number: number | null;
  change: string;
  confirmed: boolean;
  possible: boolean;
  tested: boolean;
  explains: Interval | null;
  replay: Json | null;
  whyNot: string | null;
  signs: string[];
  columns: string[];
  depth: number | null;
  batch: string | null;
  at: string | null;
}

/** A suspect of a report's body; without a replay or a test it stays possible. */
export function suspectOf(raw: Json, borne: number): Suspect {
  const replay = isObject(raw.replay) ? raw.replay : null;
  const estimate = replay ? finite(replay.share) : null;
  const version = words(raw.version);
  const explains =
    estimate === null || !replay ? null : { estimate, low: finite(replay.low), high: finite(replay.high) };
  const signs = objects(raw.signs).flatMap((sign) => text(sign.text) ?? []);
  const tested = raw.tested !== false;
  return {
    version,
    asset: text(raw.asset) ?? version.slice(0, version.lastIndexOf("@")),
    number: Number(version.slice(version.lastIndexOf("@") + 1)) || null,
    change: words(raw.change),
    confirmed: raw.confirmed === true,
    possible: explains ? (explains.high ?? 1) >= borne : signs.length > 0 || !tested,
    tested,
    explains,
    replay,
    whyNot: text(raw.why_not),
    signs,
    columns: texts(raw.columns),
    depth: finite(raw.depth),
    batch: text(raw.batch),
    at: text(raw.at),
  };
}

/** What is known of a suspect in one word. */
export function standingOf({ confirmed, possible, explains }: Suspect): string {
  if (confirmed) return "confirmed";
  if (possible) return explains ? "possible" : "suspected";
  return "ruled out";
}

function percent(value: number): string {
  return `${number(Number((100 * value).toPrecision(2)))} %`;
}

export function explainedWords({ explains }: Suspect): string {
  if (!explains) return "not replayed";
  const { estimate, low, high } = explains;
  // A part of the growth is cut off at -1: the model would have done still worse.
  if (estimate <= -1) return "worse still without it";
  return low === null || high === null ? percent(estimate) : `${percent(estimate)} [${percent(low)}, ${percent(high)}]`;
}

function diffPath({ asset, number: version }: Suspect): string {
  return assetPath(asset, { tab: "compare", new: version, version });
}

function Replay({ suspect }: { suspect: Suspect }) {
  const { replay, whyNot } = suspect;
  if (!replay) return <Muted>{whyNot ?? "Nothing asked for it."}</Muted>;
  const measure = words(replay.measure);
  return (
    <Box>
      <Text>{`${measure} ${number(replay.now)} as it is, ${number(replay.reverted)} without the change, ${number(replay.before)} on the reference`}</Text>
      <Muted fontSize="sm">
        {`${words(replay.how)}: ${words(replay.what)}; ${count(finite(replay.rows) ?? 0, "row")} scored again`}
      </Muted>
    </Box>
  );
}

const COLUMNS: Column<Suspect & { rank: number }>[] = [
  { title: "", right: true, cell: (s) => `${s.rank}.` },
  { title: "Version", cell: (s) => <NodeName label={s.version} /> },
  { title: "Standing", cell: (s) => <Mark text={standingOf(s)} /> },
  {
    title: "Change",
    cell: (s) => (
      <Box>
        <Go to={diffPath(s)}>{s.change}</Go>
        <Text fontSize="sm">
          <Muted>
            {[s.batch && `batch ${s.batch}`, s.at && utc(s.at), s.depth === null ? "" : count(s.depth, "step") + " up"]
              .filter(Boolean)
              .join(", ")}
          </Muted>
        </Text>
      </Box>
    ),
  },
  { title: "Explains", right: true, cell: explainedWords },
  { title: "Scored again without it", cell: (s) => <Replay suspect={s} /> },
  {
    title: "Unlike before",
    cell: (s) => {
      if (s.signs.length) return <Lines lines={s.signs} />;
      return <Muted>{s.tested ? "no column moved by itself" : "no past to compare it with"}</Muted>;
    },
  },
  { title: "The model reads of it", cell: (s) => s.columns.join(", ") },
];

/** A ranking as it was kept, drawn. */
export function Blamed({ body }: { body: Json }) {
  const navigate = useNavigate();
  const policy = isObject(body.policy) ? body.policy : {};
  const borne = finite(policy.share) ?? 0.3;
  const suspects = objects(body.suspects).map((one) => suspectOf(one, borne));
  const outcome = OUTCOMES[words(body.outcome)];
  const lines = suspects.map((one, rank): Line => ({
    id: one.version,
    label: `${rank + 1}. ${one.version}`,
    told: `${explainedWords(one)}, ${standingOf(one)}`,
    interval: one.explains,
    verdict: one.confirmed ? "fail" : one.possible ? "warn" : "pass",
    go: () => navigate(diffPath(one)),
  }));
  const measure = suspects.flatMap((one) => text(one.replay?.measure) ?? [])[0] ?? "loss";
  const label = `Part of the ${measure} that each change explains`;
  return (
    <Box mt={2}>
      <Alert status={outcome?.status ?? "info"} mb={3}>
        {outcome?.said ?? words(body.outcome)}
      </Alert>
      {text(body.note) && <Note>{words(body.note)}</Note>}
      <Facts
        pairs={[
          ["Model", text(body.model) && <NodeName key="m" label={words(body.model)} />],
          ["Batch", body.partition_key],
          ["Features", text(body.features) && <NodeName key="f" label={words(body.features)} />],
          ["Compared with", body.reference],
          [
            "Cause",
            text(body.cause) && (
              <Go key="c" to={labelPath(words(body.cause))}>
                {words(body.cause)}
              </Go>
            ),
          ],
          ["Confirmed from", `${share(borne)} that is surely explained`],
        ]}
      />
      {suspects.some((one) => one.explains) && (
        <Box overflowX="auto" mt={3} tabIndex={0} role="region" aria-label={label}>
          <Forest
            label={label}
            lines={lines}
            marks={[
              { at: 0, label: "explains nothing" },
              { at: borne, label: `${share(borne)}, enough to confirm it`, dashed: true },
              { at: 1, label: "explains all of it" },
            ]}
            sides={["worse without it", "better without it"]}
          />
        </Box>
      )}
      <Box mt={3}>
        <Rows
          columns={COLUMNS}
          rows={suspects.map((one, at) => ({ ...one, rank: at + 1 }))}
          id={(one) => one.version}
          marked={(one) => one.confirmed}
          label="Suspects"
          empty="Nothing upstream changed."
        />
      </Box>
    </Box>
  );
}

/** The ranking of one report, read when it is shown. */
export function Blame({ asset, report }: { asset: string; report: number }) {
  const answer = useAnswer(at("/reports/{report_id}", { report_id: report }));
  return (
    <Box>
      <State answer={answer} />
      {answer.data && (
        <Box>
          <HStack gap={2}>
            <Go to={assetPath(asset, { tab: "reports", report })}>{`blame report ${report}`}</Go>
            <Muted>{`${utc(answer.data.created_at)} UTC`}</Muted>
          </HStack>
          {text(answer.data.body.summary) && <Text mt={1}>{words(answer.data.body.summary)}</Text>}
          <Blamed body={answer.data.body} />
        </Box>
      )}
    </Box>
  );
}
