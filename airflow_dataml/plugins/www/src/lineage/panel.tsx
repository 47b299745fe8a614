// What is known of the chosen node, beside the picture.

import { Badge, Box, Button, Heading, HStack, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { Answer } from "../api/reading";
import type { ColumnFlow, Impact, LineageNode } from "../api/types";
import { assetPath, taskPath } from "../ui/paths";
import { Go, Mark, Muted, State, Toggle } from "../ui/pieces";
import { ago, count, duration, number, utc } from "../ui/words";
import type { Asked, Change } from "./asked";
import { columnId, type ColumnSet, flowWords, traced } from "./columns";
import { aroundPath, counted, hidden, kindOf, nodeLabel, nodePath, type Picture, shortName } from "./model";

function Line({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === "" || children === false) return null;
  return (
    <HStack gap={2} align="start" fontSize="sm">
      <Text as="dt" color="fg.muted" minW="5.5rem">
        {name}
      </Text>
      <Box as="dd" minW={0} wordBreak="break-word">
        {children}
      </Box>
    </HStack>
  );
}

function MadeBy({ node }: { node: LineageNode }) {
  const { dag_id, run_id, task_id, map_index, job } = node;
  const run = dag_id && run_id && task_id ? { dag_id, run_id, task_id, map_index: map_index ?? -1 } : null;
  const to = run && taskPath(run);
  const name = job ?? (run ? [run.dag_id, run.task_id].filter(Boolean).join(".") : null);
  if (!name) return null;
  return to ? (
    <Go to={to} title={run_id ?? undefined}>
      {name}
    </Go>
  ) : (
    <span title={run_id ?? undefined}>{name}</span>
  );
}

function Facts({ node }: { node: LineageNode }) {
  const fresh = node.stale === null ? null : node.stale ? "late" : "fresh";
  return (
    <Box as="dl" mt={2}>
      <Line name="Kind">{node.kind === kindOf(node) ? node.kind : `${node.kind}, ${kindOf(node)}`}</Line>
      <Line name="Checks">{node.verdict && <Mark text={node.verdict} />}</Line>
      <Line name="Freshness">
        {fresh && (
          <HStack gap={2} wrap="wrap">
            <Mark text={fresh} />
            <Muted>{node.freshness_s ? `promised every ${duration(node.freshness_s)}` : ""}</Muted>
          </HStack>
        )}
      </Line>
      <Line name="Incidents">
        {node.incidents > 0 && (
          <Go to={assetPath(node.asset)}>
            <Badge colorPalette="red">{count(node.incidents, "open incident")}</Badge>
          </Go>
        )}
      </Line>
      <Line name="Owner">{node.owner}</Line>
      <Line name="Version">{node.number && `@${node.number}`}</Line>
      <Line name="Aliases">{node.aliases.join(", ")}</Line>
      <Line name="Rows">{node.rows !== null && number(node.rows)}</Line>
      <Line name="Partition">{node.partition_key}</Line>
      <Line name={node.node.startsWith("asset:") ? "Written" : "Made"}>
        {node.at && <span title={`${utc(node.at)} UTC`}>{ago(node.at)}</span>}
      </Line>
      <Line name="By">
        <MadeBy node={node} />
      </Line>
      <Line name="Origin">{node.origin && node.origin !== "published" ? node.origin : null}</Line>
      <Line name="Status">{node.status !== "active" && <Mark text={node.status} />}</Line>
    </Box>
  );
}

interface PanelProps {
  asked: Asked;
  change: Change;
  picture: Picture;
  columns: ColumnSet | null;
  impact: Answer<Impact>;
  expand: (node: string, way: "both" | "upstream" | "downstream") => void;
}

export function Panel({ asked, change, picture, columns, impact, expand }: PanelProps) {
  const node = picture.nodes.get(asked.node ?? picture.start);
  if (!node) return <Muted>Choose a card to see what is known of it.</Muted>;
  const rest = hidden(picture, node);
  return (
    <Box as="section" aria-label={`About ${nodeLabel(node)}`}>
      <Heading as="h3" size="sm" wordBreak="break-all">
        <Go to={nodePath(node)}>{nodeLabel(node)}</Go>
      </Heading>
      {!asked.node && (
        <Muted fontSize="sm">The start. Click a card for what is known of it, twice for what is around it.</Muted>
      )}
      <Facts node={node} />
      <HStack gap={1} wrap="wrap" mt={3}>
        {rest.up > 0 && (
          <Button size="xs" variant="outline" onClick={() => expand(node.node, "upstream")}>
            {`${counted(rest.up)} above`}
          </Button>
        )}
        {rest.down > 0 && (
          <Button size="xs" variant="outline" onClick={() => expand(node.node, "downstream")}>
            {`${counted(rest.down)} below`}
          </Button>
        )}
        <Toggle on={asked.impact} flip={() => change({ impact: !asked.impact })}>
          Impact
        </Toggle>
        {picture.start !== node.node && (
          <Button asChild size="sm" variant="outline">
            <Go to={aroundPath(node)}>Start here</Go>
          </Button>
        )}
        {picture.start !== node.node && asked.to !== node.asset && (
          <Button size="sm" variant="outline" onClick={() => change({ to: node.asset, open: [] }, { push: true })}>
            Ways from start
          </Button>
        )}
      </HStack>
      {asked.impact && <Reach impact={impact} />}
      {asked.column && <Column asked={asked} change={change} picture={picture} columns={columns} />}
    </Box>
  );
}

/** Everything downstream: counts by kind, and the models by name. */
function Reach({ impact }: { impact: Answer<Impact> }) {
  const found = impact.data;
  return (
    <Box mt={4} as="section" aria-label="Impact" aria-live="polite">
      <Heading as="h4" size="xs" mb={1}>
        What a change of it reaches
      </Heading>
      <State answer={impact} />
      {found && !found.kinds.length && <Muted>Nothing is made from it.</Muted>}
      {found && found.kinds.length > 0 && (
        <Text fontSize="sm">
          {found.kinds
            .map((kind) =>
              kind.versions === null
                ? count(kind.assets, kind.kind)
                : `${count(kind.assets, kind.kind)} (${count(kind.versions, "version")})`,
            )
            .join(", ")}
          {found.truncated && ", and more"}
        </Text>
      )}
      {found && found.models.length > 0 && (
        <Box as="ul" mt={2} fontSize="sm" aria-label="Models it reaches">
          {found.models.map((model) => (
            <li key={model.name}>
              <Go to={assetPath(model.name, { version: model.number })}>{model.name}</Go>{" "}
              <Muted>{[count(model.steps, "step"), model.owner].filter(Boolean).join(", ")}</Muted>
            </li>
          ))}
        </Box>
      )}
      {found && found.owners.length > 0 && (
        <Text fontSize="sm" mt={2}>
          {`To be told: ${found.owners
            .slice(0, 12)
            .map((one) => `${one.owner} (${one.assets})`)
            .join(", ")}`}
        </Text>
      )}
    </Box>
  );
}

function Flow({ flow, far, picture }: { flow: ColumnFlow; far: "src" | "dst"; picture: Picture }) {
  const node = picture.nodes.get(flow[far]);
  return (
    <li>
      {`${node ? shortName(node.asset) : flow[far]}.${flow[`${far}_column`] || "*"} `}
      <Muted title={flowWords(flow)}>
        {flow.kind === "direct" ? "" : `${flow.via ?? "indirect"}, `}
        {`${flow.method}, ${Math.round(flow.confidence * 100)} %`}
      </Muted>
    </li>
  );
}

function Column({ asked, change, picture, columns }: Pick<PanelProps, "asked" | "change" | "picture" | "columns">) {
  if (!asked.node || !asked.column || !columns) return null;
  const all = traced(columns.flows, columnId(asked.node, asked.column));
  const touching = (end: "src" | "dst") =>
    [...all.flows].filter((flow) => flow[end] === asked.node && [asked.column, ""].includes(flow[`${end}_column`]));
  const [from, into] = [touching("dst"), touching("src")];
  return (
    <Box mt={4} as="section" aria-label={`Column ${asked.column}`} fontSize="sm">
      <HStack justify="space-between" align="center">
        <Heading as="h4" size="xs" wordBreak="break-all">
          {`Column ${asked.column}`}
        </Heading>
        <Toggle on={asked.trace} flip={() => change({ trace: !asked.trace, open: [] }, { push: true })}>
          Follow it alone
        </Toggle>
      </HStack>
      {(
        [
          ["Made from", from, "src"],
          ["Goes into", into, "dst"],
        ] as const
      ).map(([title, flows, far]) => (
        <Box key={title} mt={2}>
          <Muted>{title}</Muted>
          {flows.length ? (
            <Box as="ul">
              {flows.slice(0, 60).map((flow, at) => (
                <Flow key={at} flow={flow} far={far} picture={picture} />
              ))}
            </Box>
          ) : (
            <Text>Nothing that is known by columns.</Text>
          )}
        </Box>
      ))}
    </Box>
  );
}
