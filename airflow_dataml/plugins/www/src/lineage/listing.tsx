// The graph in words: its nodes and its edges as tables, for who does not see the picture or wants to copy it.

import { Box } from "@chakra-ui/react";
import { useState } from "react";
import type { LineageEdge, LineageNode } from "../api/types";
import { type Column, Go, Mark, More, Muted, Rows, Section } from "../ui/pieces";
import { count, utc } from "../ui/words";
import { kindOf, nodeLabel, nodePath, type Picture } from "./model";

const AT_ONCE = 100;

function useSlice<Row>(rows: Row[]) {
  const [most, setMost] = useState(AT_ONCE);
  const more = rows.length > most ? () => setMost(most + AT_ONCE * 5) : null;
  return { items: rows.slice(0, most), more, loading: false };
}

function distance(node: LineageNode): string {
  if (!node.depth) return "the start";
  return `${count(Math.abs(node.depth), "step")} ${node.depth < 0 ? "above" : "below"}`;
}

export function Listing({ picture, matches }: { picture: Picture; matches: Set<string> | null }) {
  const nodes = useSlice([...picture.nodes.values()].filter((node) => !matches || matches.has(node.node)));
  const edges = useSlice(picture.edges);
  const label = (id: string) => {
    const node = picture.nodes.get(id);
    return node ? nodeLabel(node) : id;
  };
  const ofNodes: Column<LineageNode>[] = [
    { title: "Node", cell: (node) => <Go to={nodePath(node)}>{nodeLabel(node)}</Go> },
    { title: "Where", cell: distance },
    { title: "Kind", cell: kindOf },
    { title: "Checks", cell: (node) => <Mark text={node.verdict} /> },
    { title: "Incidents", cell: (node) => node.incidents || <Muted>-</Muted>, right: true },
    { title: "Owner", cell: (node) => node.owner ?? "-" },
    { title: "Made by", cell: (node) => node.job ?? ([node.dag_id, node.task_id].filter(Boolean).join(".") || "-") },
    { title: "Above", cell: (node) => String(node.ups), right: true },
    { title: "Below", cell: (node) => String(node.downs), right: true },
  ];
  const ofEdges: Column<LineageEdge>[] = [
    { title: "From", cell: (edge) => label(edge.src) },
    { title: "To", cell: (edge) => label(edge.dst) },
    { title: "How", cell: (edge) => edge.kind.replaceAll("_", " ") },
    { title: "Jobs", cell: (edge) => edge.jobs.join(", ") || "-" },
    { title: "Known since (UTC)", cell: (edge) => utc(edge.at) },
    { title: "By columns", cell: (edge) => (edge.mapped ? "yes" : "no") },
  ];
  return (
    <Box>
      <Section title="Nodes">
        <Rows columns={ofNodes} rows={nodes.items} id={(node) => node.node} label="Nodes" />
        <More pages={nodes} label="Show more nodes" />
      </Section>
      <Section title="Edges">
        <Rows columns={ofEdges} rows={edges.items} id={(_, at) => at} empty="No edge." label="Edges" />
        <More pages={edges} label="Show more edges" />
      </Section>
    </Box>
  );
}
