// Where a model stands: who is champion, what was last thought of it, and what it depends on.

import { Box, HStack, SimpleGrid, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { Dependency, ModelStanding, Role } from "../api/types";
import { IncidentRows } from "../governance/incidents";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath, path } from "../ui/paths";
import { type Column, Go, Mark, Muted, NodeName, Note, Rows, Section, State } from "../ui/pieces";
import { ago, number, utc } from "../ui/words";
import { History } from "./history";

type Last = ModelStanding["evaluation"];

const NEWEST: { of: "evaluation" | "monitor" | "decision" | "registry"; title: string; tab: string; none: string }[] = [
  {
    of: "evaluation",
    title: "Last evaluation",
    tab: "evaluation",
    none: "Not evaluated yet. A ModelEvaluateOperator measures a challenger against the champion.",
  },
  {
    of: "monitor",
    title: "Last window",
    tab: "monitoring",
    none: "Not observed yet. A MonitorOperator compares each scored batch with the training data.",
  },
  { of: "decision", title: "Last decision", tab: "decisions", none: "Nothing was decided yet." },
  {
    of: "registry",
    title: "MLflow, seen from here",
    tab: "reports",
    none: "Nothing was found otherwise than it was left there. A RegistryReconcileOperator looks.",
  },
];

function Panel({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box
      as="section"
      aria-label={title}
      borderWidth="1px"
      borderColor="border.emphasized"
      borderRadius="md"
      p={3}
      minW={0}
    >
      <Text fontWeight="bold" mb={1}>
        {title}
      </Text>
      {children}
    </Box>
  );
}

function Newest({ name, last, tab, none }: { name: string; last: Last; tab: string; none: string }) {
  if (!last) return <Muted>{none}</Muted>;
  return (
    <Box>
      <HStack gap={2} wrap="wrap">
        <Mark text={last.action ?? last.verdict} />
        <Go to={assetPath(name, { tab, report: last.report_id })}>{`report ${last.report_id}`}</Go>
        {last.version && <Muted>{`of @${last.version}`}</Muted>}
        <Muted title={`${utc(last.created_at)} UTC`}>{ago(last.created_at)}</Muted>
      </HStack>
      {last.summary && (
        <Text mt={1} fontSize="sm" lineClamp={4} title={last.summary}>
          {last.summary}
        </Text>
      )}
    </Box>
  );
}

const ROLES = (name: string, metrics: string[]): Column<Role>[] => [
  { title: "Alias", cell: (r) => <Mark text={r.name} /> },
  { title: "Version", cell: (r) => <Go to={assetPath(name, { version: r.version })}>{`@${r.version}`}</Go> },
  { title: "Since (UTC)", cell: (r) => utc(r.moved_at) },
  { title: "Trained on", cell: (r) => (r.dataset ? <NodeName label={r.dataset} /> : "-") },
  ...metrics.map((metric): Column<Role> => ({
    title: metric,
    right: true,
    cell: (r) => number(r.metrics?.[metric]),
  })),
];

const DEPENDS: Column<Dependency>[] = [
  { title: "Asset", cell: (d) => <Go to={assetPath(d.asset)}>{d.asset}</Go> },
  { title: "Kind", cell: (d) => d.kind },
  { title: "Away", cell: (d) => (d.depth === 1 ? "directly" : `${d.depth} steps`) },
  {
    title: "Champion learnt from",
    cell: (d) => (d.pinned ? <NodeName label={`${d.asset}@${d.pinned}`} /> : <Muted>-</Muted>),
  },
  {
    title: "Current",
    cell: (d) => (d.current ? <NodeName label={`${d.asset}@${d.current}`} /> : <Muted>-</Muted>),
  },
  { title: "Checks", cell: (d) => <Mark text={d.verdict} /> },
  {
    title: "Incidents",
    cell: (d) =>
      d.incidents ? <Go to={path("incidents", { asset: d.asset })}>{`${number(d.incidents)} open`}</Go> : "none",
  },
  {
    title: "Lineage",
    cell: (d) => <Go to={path(`lineage/${encodeURIComponent(d.asset)}`)}>{`of ${d.asset}`}</Go>,
  },
];

/** Metrics that any of the versions has, so that they can be told apart side by side. */
export function metricsOf(roles: Role[]): string[] {
  return [...new Set(roles.flatMap((role) => Object.keys(role.metrics ?? {})))].sort();
}

export default function Overview({ asset }: AssetPlaceProps) {
  const { name } = asset;
  const answer = useAnswer(at("/models/{model}/standing", { model: name }));
  const standing = answer.data;
  if (!standing) return <State answer={answer} />;
  return (
    <Box>
      <Section title="Champion, challenger and others">
        <Rows
          columns={ROLES(name, metricsOf(standing.roles))}
          rows={standing.roles}
          id={(r) => r.name}
          label="Aliases"
          empty="No alias stands anywhere yet. A ModelPromoteOperator makes the first champion."
        />
        <Muted fontSize="sm">Metrics are those of training, on the rows kept to validate on.</Muted>
      </Section>
      <SimpleGrid columns={{ base: 1, md: 2, xl: 4 }} gap={3} mt={6}>
        {NEWEST.map(({ of, title, tab, none }) => (
          <Panel key={of} title={title}>
            <Newest name={name} last={standing[of]} tab={tab} none={none} />
          </Panel>
        ))}
      </SimpleGrid>
      <Section title="What it depends on">
        <Rows
          columns={DEPENDS}
          rows={standing.depends}
          id={(d) => d.asset}
          label="What it depends on"
          empty="No data is known to go into it."
        />
      </Section>
      <Section title="Open incidents on its data">
        {standing.upstream_incidents.length ? (
          <IncidentRows rows={standing.upstream_incidents} />
        ) : (
          <Note>None on anything it is made from.</Note>
        )}
      </Section>
      <Section title="Who moved its aliases">
        <History name={name} />
      </Section>
    </Box>
  );
}
