// The card of a model version: the Markdown the API writes, shown and to be taken along.

import { Box, Button, Code, Heading, HStack, Link as ChakraLink, Table, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { AssetPlaceProps } from "../pages/asset";
import { Command, Note, State } from "../ui/pieces";
import { type Block, blocksOf, type Span } from "./markdown";

const HEADINGS = ["h2", "h3", "h4", "h5"];
const SIZES = ["lg", "md", "sm", "sm"] as const;

function Spans({ spans }: { spans: Span[] }) {
  return spans.map(({ text, look }, at) => {
    if (look === "bold") return <strong key={at}>{text}</strong>;
    if (look === "italic") return <em key={at}>{text}</em>;
    return look === "code" ? <Code key={at}>{text}</Code> : <span key={at}>{text}</span>;
  });
}

function Cells({ block }: { block: Block & { kind: "table" } }) {
  const named = block.head.some((cell) => cell.length);
  return (
    <Box overflowX="auto" my={2} tabIndex={0} role="region" aria-label="Table of the card">
      <Table.Root size="sm" variant="outline" width="auto" aria-label="Table of the card">
        {named && (
          <Table.Header>
            <Table.Row>
              {block.head.map((cell, at) => (
                <Table.ColumnHeader key={at} scope="col">
                  <Spans spans={cell} />
                </Table.ColumnHeader>
              ))}
            </Table.Row>
          </Table.Header>
        )}
        <Table.Body>
          {block.rows.map((row, at) => (
            <Table.Row key={at}>
              {row.map((cell, place) => (
                <Table.Cell key={place} verticalAlign="top" fontWeight={!named && place === 0 ? "medium" : undefined}>
                  <Spans spans={cell} />
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

function Part({ block }: { block: Block }) {
  if (block.kind === "table") return <Cells block={block} />;
  if (block.kind === "heading") {
    const level = Math.min(block.level, HEADINGS.length) - 1;
    return (
      <Heading as={HEADINGS[level] as "h2"} size={SIZES[level] ?? "sm"} mt={level ? 5 : 2} mb={2}>
        <Spans spans={block.spans} />
      </Heading>
    );
  }
  if (block.kind === "list") {
    return (
      <Box as="ul" pl={5} my={2} style={{ listStyle: "disc" }}>
        {block.items.map((item, at) => (
          <li key={at}>
            <Spans spans={item} />
          </li>
        ))}
      </Box>
    );
  }
  return (
    <Text my={2}>
      <Spans spans={block.spans} />
    </Text>
  );
}

export function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => blocksOf(text), [text]);
  return blocks.map((block, at) => <Part key={at} block={block} />);
}

function Copy({ text }: { text: string }) {
  const [told, setTold] = useState("");
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setTold("Copied."),
      () => setTold("The browser does not let it be copied."),
    );
  };
  return (
    <HStack gap={2}>
      <Button size="sm" variant="outline" onClick={copy}>
        Copy as Markdown
      </Button>
      <span aria-live="polite">{told}</span>
    </HStack>
  );
}

export default function Card({ asset, chosen }: AssetPlaceProps) {
  const version = chosen ? String(chosen) : null;
  const address = version ? at("/models/{model}/card", { model: asset.name, version }) : null;
  const answer = useAnswer(address);
  if (!chosen) return <Note>No version yet, so there is nothing to write a card of.</Note>;
  if (!answer.data) return <State answer={answer} />;
  const { markdown } = answer.data;
  return (
    <Box>
      <HStack gap={3} mt={3} wrap="wrap">
        <Copy text={markdown} />
        <ChakraLink
          href={new URL(`dataml/${address}`, document.baseURI).href}
          target="_blank"
          rel="noreferrer"
          color="fg.info"
        >
          The file
        </ChakraLink>
        <Command>{`dataml model card ${asset.name}@${chosen}`}</Command>
      </HStack>
      <Box as="article" aria-label={`Card of ${asset.name}@${chosen}`} maxW="70rem" mt={3}>
        <Markdown text={markdown} />
      </Box>
    </Box>
  );
}
