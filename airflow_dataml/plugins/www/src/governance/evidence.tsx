// What an incident stands on: the checks that broke or the columns that moved, the versions it has to do with, its story.

import { Box, Flex, HStack, Text } from "@chakra-ui/react";
import type {
  Event,
  Evidence as EvidenceData,
  Incident,
  LinkedVersion,
  UpstreamVersion,
  WorstCheck,
} from "../api/types";
import { By, Reasons } from "../model/history";
import { Shifts } from "../model/monitoring";
import { interval } from "../model/evaluations";
import { Blame } from "./blame";
import { isObject, checkName, flatten } from "../reports/body";
import { look } from "../ui/charts";
import { assetPath, path } from "../ui/paths";
import { Alert, type Column, Facts, Go, Mark, Muted, NodeName, Note, Rows, Section } from "../ui/pieces";
import { ago, number, utc, words } from "../ui/words";

const CHECKS: Column<WorstCheck>[] = [
  { title: "Verdict", cell: (c) => <Mark text={c.verdict} /> },
  { title: "Check", cell: (c) => checkName(c) },
  { title: "Observed", right: true, cell: (c) => `${words(c.observed)} ${c.unit ?? ""}`.trim() },
  { title: "Expected", cell: (c) => words(c.threshold) },
  { title: "Detail", cell: (c) => c.detail ?? "" },
];
const ROLES: Record<string, string> = {
  judged: "what was judged",
  "brought it": "brought the batch",
  "made from": "the batch was made from it",
  monitored: "was looked at",
  evaluated_on: "was evaluated on",
  scored: "was scored",
  current: "is current now",
  champion: "is champion now",
};

/** Where a report of this kind is best looked at. */
export function reportPath(asset: string, kind: string, report: number, model: boolean): string {
  const tabs: Record<string, string> = model
    ? { monitor: "monitoring", evaluation: "evaluation" }
    : { check: "quality", impact: "impact", reach: "impact" };
  return assetPath(asset, { tab: tabs[kind] ?? (model ? "reports" : "quality"), report });
}

function Moved({ window }: { window: NonNullable<EvidenceData["window"]> }) {
  const moved = [...window.prediction, ...window.inputs].filter((shift) => shift.drifted);
  return (
    <Box>
      {window.feed_broken.map((text) => (
        <Alert key={text} status="warning" mt={2}>{`Its data could not be trusted: ${text}`}</Alert>
      ))}
      {window.now && (
        <Text mt={2}>
          {`Loss ${interval(window.now)}${window.released === null ? "" : `, ${number(window.released)} at release`}${window.limit === null ? "" : `, borne up to ${number(window.limit)}`}.`}
        </Text>
      )}
      <Box mt={2}>
        {moved.length ? <Shifts shifts={moved} label="What moved" /> : <Note>No single column moved.</Note>}
      </Box>
    </Box>
  );
}

export function Evidence({ incident }: { incident: Incident }) {
  const { evidence } = incident;
  const to = reportPath(incident.asset, evidence.kind, evidence.report_id, incident.asset_kind === "model");
  return (
    <Section title="Evidence">
      <HStack gap={2} wrap="wrap">
        <Mark text={evidence.verdict} />
        <Go to={to}>{`${evidence.kind} report ${evidence.report_id}`}</Go>
        <Muted>{`${utc(evidence.created_at)} UTC by`}</Muted>
        <By run={evidence} />
      </HStack>
      {evidence.summary && <Text mt={1}>{evidence.summary}</Text>}
      {evidence.window && <Moved window={evidence.window} />}
      {evidence.worst.length > 0 && (
        <Box mt={2}>
          <Rows columns={CHECKS} rows={evidence.worst} id={(_, at) => at} label="Checks that did not pass" />
          <Go to={to}>{`All ${number(evidence.checks)} checks, with samples of rows`}</Go>
        </Box>
      )}
      {!evidence.worst.length && !evidence.window && !evidence.summary && <Note>The report says no more.</Note>}
    </Section>
  );
}

const UPSTREAM: Column<UpstreamVersion>[] = [
  { title: "Version", cell: (v) => <NodeName label={`${v.asset}@${v.version}`} /> },
  { title: "Away", cell: (v) => `${v.depth} step${v.depth === 1 ? "" : "s"}` },
  { title: "Written (UTC)", cell: (v) => utc(v.created_at) },
  { title: "By", cell: (v) => <By run={v} /> },
];

function Ranked({ suspects }: { suspects: unknown[] }) {
  return suspects.map((suspect, at) => (
    <HStack key={at} gap={2} mb={1} wrap="wrap">
      <Text fontWeight="bold">{`${at + 1}.`}</Text>
      {isObject(suspect) ? <Facts pairs={flatten(suspect)} /> : <NodeName label={words(suspect)} />}
    </HStack>
  ));
}

/** Who may have caused it: what an alarm ranked, else the versions behind it, the newest change first. */
export function Suspects({ incident }: { incident: Incident }) {
  return (
    <Section title="Suspects">
      {incident.blame !== null && <Blame asset={incident.asset} report={incident.blame} />}
      {incident.blame === null && incident.suspects.length > 0 && <Ranked suspects={incident.suspects} />}
      {incident.upstream.length > 0 && (
        <Note>
          {incident.suspects.length
            ? "What went into it before it was opened, the newest first:"
            : "Nothing was ranked. These versions went into it before it was opened, the newest first:"}
        </Note>
      )}
      {(incident.upstream.length > 0 || !incident.suspects.length) && (
        <Rows
          columns={UPSTREAM}
          rows={incident.upstream}
          id={(v) => `${v.asset}@${v.version}`}
          label="Versions it was made from"
          empty="Nothing was ranked, and nothing is known to have gone into it."
        />
      )}
    </Section>
  );
}

const LINKED: Column<LinkedVersion>[] = [
  { title: "Version", cell: (v) => <NodeName label={`${v.asset}@${v.version}`} /> },
  { title: "How", cell: (v) => ROLES[v.role] ?? v.role.replaceAll("_", " ") },
  { title: "Written (UTC)", cell: (v) => utc(v.created_at) },
  {
    title: "Lineage",
    cell: (v) => (
      <Go to={path(`lineage/${encodeURIComponent(v.asset)}`, { version: v.version })}>{`of @${v.version}`}</Go>
    ),
  },
];

/** What was decided on the report that opened it, and why. */
export function Decided({ incident }: { incident: Incident }) {
  const { decision, asset } = incident;
  if (!decision) return null;
  return (
    <Section title="What was decided">
      <HStack gap={2} wrap="wrap">
        <Mark text={decision.action} />
        <Go to={assetPath(asset, { tab: "decisions", report: decision.report_id })}>
          {`decision ${decision.report_id}`}
        </Go>
        <Muted>{`${utc(decision.created_at)} UTC`}</Muted>
      </HStack>
      <Reasons reasons={decision.reasons} />
    </Section>
  );
}

export function Linked({ incident }: { incident: Incident }) {
  return (
    <Section title="Versions it has to do with">
      <Rows
        columns={LINKED}
        rows={incident.linked}
        id={(v) => `${v.asset}@${v.version}`}
        label="Versions it has to do with"
        empty="Its batch was refused, and no version has it."
      />
    </Section>
  );
}

function saidOf(event: Event, incident: Incident): string {
  if (event.what === "report") return event.words ?? "looked at again";
  return event.words ?? (event.what === "opened" ? incident.title : "");
}

export function Story({ incident }: { incident: Incident }) {
  return (
    <Section title="What happened">
      <Box as="ol" aria-label="Timeline" style={{ listStyle: "none" }}>
        {incident.timeline.map((event, at) => (
          <Flex as="li" key={at} gap={3} pb={3} borderLeftWidth="2px" borderColor="border" pl={4} position="relative">
            <Box
              position="absolute"
              left="-6px"
              top="6px"
              w="10px"
              h="10px"
              borderRadius="full"
              aria-hidden
              style={{
                background: look(
                  event.verdict ?? (event.what === "resolved" ? "pass" : event.what === "opened" ? "fail" : "warn"),
                ).fill,
              }}
            />
            <Box minW="11rem">
              <Text title={`${utc(event.at)} UTC`}>{`${utc(event.at)}`}</Text>
              <Muted fontSize="xs">{ago(event.at)}</Muted>
            </Box>
            <Box>
              <HStack gap={2} wrap="wrap">
                <Mark text={event.verdict ?? event.what} />
                {event.report !== null && (
                  <Go
                    to={reportPath(
                      incident.asset,
                      incident.evidence.kind,
                      event.report,
                      incident.asset_kind === "model",
                    )}
                  >{`report ${event.report}`}</Go>
                )}
                {event.who && <Muted>{event.who}</Muted>}
              </HStack>
              <Text>{saidOf(event, incident)}</Text>
            </Box>
          </Flex>
        ))}
      </Box>
    </Section>
  );
}
