// The columns of an asset with what people say of them, and the schemas it had before.

import { Box, Heading, HStack, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { ColumnDoc, SchemaRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { type Column, Mark, Marks, More, Muted, Note, Rows, Section, State } from "../ui/pieces";
import { count, utc } from "../ui/words";

const COLUMNS: Column<ColumnDoc>[] = [
  { title: "Column", cell: (c) => <Text fontWeight="medium">{c.name}</Text> },
  { title: "Type", cell: (c) => c.type },
  { title: "What it is", cell: (c) => c.description ?? <Muted>not described</Muted> },
  { title: "Tags", cell: (c) => <Marks texts={c.tags} /> },
  { title: "Terms", cell: (c) => <Marks texts={c.terms} /> },
];

function Change({ schema }: { schema: SchemaRow }) {
  if (!schema.schema) return <Text>{`the first that is known: ${count(schema.columns.length, "column")}`}</Text>;
  if (!schema.schema.changes.length) return <Text>the same columns</Text>;
  return schema.schema.changes.map((change) => <Text key={`${change.column} ${change.kind}`}>{change.sentence}</Text>);
}

export default function Schema({ asset }: AssetPlaceProps) {
  const pages = usePages(at("/assets/{name}/schemas", { name: asset.name }));
  const documented = asset.columns.filter((column) => column.description).length;
  return (
    <Box>
      {asset.documentation && (
        <Section title="Documentation">
          <Text whiteSpace="pre-wrap" maxW="60rem">
            {asset.documentation}
          </Text>
        </Section>
      )}
      <Section title="Columns">
        {asset.columns.length > 0 && (
          <Muted>{`${documented} of ${count(asset.columns.length, "column")} described`}</Muted>
        )}
        <Rows
          columns={COLUMNS}
          rows={asset.columns}
          id={(c) => c.name}
          label="Columns"
          empty="Its columns are not known: nobody published, crawled or observed them."
        />
      </Section>
      <Section title="Schema history">
        <State answer={pages} />
        {pages.first && !pages.items.length && <Note>It never had another schema than this one.</Note>}
        {pages.items.map((schema) => (
          <Box key={schema.seq} borderLeftWidth="2px" borderColor="border.emphasized" pl={3} mb={3}>
            <HStack gap={2}>
              <Heading as="h4" size="sm">
                {`${utc(schema.seen_at)} UTC`}
              </Heading>
              {schema.schema && <Mark text={schema.schema.class} />}
              <Muted>{schema.source}</Muted>
            </HStack>
            <Change schema={schema} />
          </Box>
        ))}
        <More pages={pages} />
      </Section>
    </Box>
  );
}
