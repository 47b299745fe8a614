// The lineage of one version within another page: the picture, and what is one step around it in words.

import { Box, Flex, HStack, Text } from "@chakra-ui/react";
import { useMemo } from "react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { LineageNode } from "../api/types";
import { Go, Mark, Muted, Note, State } from "../ui/pieces";
import { path } from "../ui/paths";
import { count } from "../ui/words";
import { addressOf, askedOf } from "./asked";
import { GraphCanvas } from "./canvas";
import { nodeLabel, nodePath, pictureOf, underline } from "./model";

function Steps({ title, nodes }: { title: string; nodes: LineageNode[] }) {
  const depths = [...new Set(nodes.map((node) => Math.abs(node.depth)))].sort((a, b) => a - b);
  return (
    <Box flex={1} minW="20rem">
      <Text fontWeight="bold" mb={1}>
        {title}
      </Text>
      {!depths.length && <Note>Nothing.</Note>}
      {depths.map((depth) => (
        <Box key={depth} mb={2}>
          <Muted fontSize="sm">{count(depth, "step")}</Muted>
          {nodes
            .filter((node) => Math.abs(node.depth) === depth)
            .map((node) => (
              <HStack key={node.node} gap={2} wrap="wrap">
                <Go to={nodePath(node)}>{nodeLabel(node)}</Go>
                <Muted fontSize="sm">{underline(node)}</Muted>
                {node.verdict && <Mark text={node.verdict} />}
              </HStack>
            ))}
        </Box>
      ))}
    </Box>
  );
}

export function Lineage({ name, version }: { name: string; version: string | null }) {
  const navigate = useNavigate();
  const answer = useAnswer(at("/graph", { asset: name, version, by: "version", depth: 4, limit: 150 }));
  const graph = answer.data;
  const picture = useMemo(() => (graph ? pictureOf([graph]) : null), [graph]);
  if (!graph || !picture) return <State answer={answer} />;
  const asked = askedOf(name, new URLSearchParams({ version: version ?? "" }));
  const sides = (sign: number) => graph.nodes.filter((node) => node.depth * sign > 0);
  return (
    <Box>
      <Text mb={2}>
        <Go to={path(`lineage/${encodeURIComponent(name)}`, { version })}>Open the graph</Go>
        {graph.truncated && <Muted>{" It goes on beyond what is shown."}</Muted>}
      </Text>
      {graph.nodes.length > 1 && (
        <GraphCanvas
          picture={picture}
          columns={null}
          selected={null}
          lit={null}
          matches={null}
          traced={null}
          height="24rem"
          select={(node) => node && navigate(addressOf({ ...asked, node }))}
          expand={(node) => navigate(addressOf({ ...asked, node, open: [node] }))}
        />
      )}
      <Flex gap={8} wrap="wrap" mt={3}>
        <Steps title="Made from" nodes={sides(-1)} />
        <Steps title="Went into" nodes={sides(1)} />
      </Flex>
    </Box>
  );
}
