// The versions of an asset, newest first: how each was made, what it weighs, who holds it.

import { Box, Code, HStack, Text, VStack } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { Asset, VersionRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Column, Facts, Go, Mark, Marks, More, Muted, NodeName, Rows, Section, State, Writer } from "../ui/pieces";
import { number, size, utc, words } from "../ui/words";
import { History } from "./history";

const MODES: Record<string, string> = {
  append: "adds a batch",
  replace: "everything anew",
  partition: "replaces one batch",
  merge: "inserts, updates and deletes by key",
  compact: "the same rows in fewer parts",
  branch: "a branch was merged",
  rollback: "the rows of an earlier version",
  adopt: "an existing table was taken over",
  snapshot: "somebody else's table as it was",
};
const STATES: Record<string, string> = {
  retained: "its rows are kept and can be read",
  collected: "retention gave its rows back; its facts stay",
  released: "its rows are with their owner",
};

function SchemaChange({ version }: { version: VersionRow }) {
  if (!version.schema?.class) return <Muted>-</Muted>;
  return (
    <Mark text={version.schema.class} title={version.schema.changes.map((change) => change.sentence).join("\n")} />
  );
}

function Verdicts({ version }: { version: VersionRow }) {
  const found = Object.entries(version.verdicts ?? {}).filter(([, verdict]) => verdict);
  if (!found.length) return <Muted>-</Muted>;
  return (
    <VStack gap={1} align="start">
      {found.map(([of, verdict]) => (
        <HStack key={of} gap={1}>
          <Mark text={verdict} />
          <Muted fontSize="xs">{of}</Muted>
        </HStack>
      ))}
    </VStack>
  );
}

function Kept({ version }: { version: VersionRow }) {
  if (!version.state) return <Muted>-</Muted>;
  return (
    <Box>
      <Mark text={version.state} title={STATES[version.state]} />
      {version.holders.map((holder) => (
        <Text key={holder} fontSize="xs" color="fg.muted">
          {holder}
        </Text>
      ))}
    </Box>
  );
}

function Size({ version }: { version: VersionRow }) {
  if (!version.bytes) return <Muted>-</Muted>;
  const { own, bytes, parts } = version;
  const title = `${number(parts)} parts${own === null ? "" : `; collecting it alone would free ${size(own)}`}`;
  return (
    <Box title={title} whiteSpace="nowrap">
      {size(bytes)}
      {own !== null && own > 0 && own !== bytes && <Text fontSize="xs" color="fg.muted">{`${size(own)} its own`}</Text>}
    </Box>
  );
}

function datasetColumns(name: string): Column<VersionRow>[] {
  return [
    {
      title: "How",
      cell: (v) => (
        <Box title={v.mode ? MODES[v.mode] : undefined}>
          {words(v.mode)}
          {v.restored && <Muted>{` of ${v.restored}`}</Muted>}
          {v.branch && <Muted>{` ${v.branch}`}</Muted>}
        </Box>
      ),
    },
    { title: "Batch", cell: (v) => words(v.partition_key) },
    { title: "Rows", right: true, cell: (v) => number(v.rows) },
    { title: "In batch", right: true, cell: (v) => number(v.batch_rows) },
    { title: "Size", right: true, cell: (v) => <Size version={v} /> },
    { title: "Schema", cell: (v) => <SchemaChange version={v} /> },
    { title: "Kept", cell: (v) => <Kept version={v} /> },
    {
      title: "Compare",
      cell: (v) =>
        v.parent ? (
          <Go to={assetPath(name, { tab: "compare", old: v.parent, new: v.number })}>{`with @${v.parent}`}</Go>
        ) : (
          "-"
        ),
    },
  ];
}

const MODEL: Column<VersionRow>[] = [
  { title: "Trained on", cell: (v) => (v.dataset ? <NodeName label={v.dataset} /> : "-") },
];

function columnsOf(asset: Asset): Column<VersionRow>[] {
  return [
    {
      title: "Version",
      cell: (v) => (
        <Box>
          <Go to={assetPath(asset.name, { version: v.number })}>{`@${v.number}`}</Go>
          <Marks texts={v.aliases} />
        </Box>
      ),
    },
    ...(asset.kind === "model" ? MODEL : datasetColumns(asset.name)),
    { title: "Verdicts", cell: (v) => <Verdicts version={v} /> },
    { title: "Written (UTC)", cell: (v) => <Text whiteSpace="nowrap">{utc(v.created_at)}</Text> },
    { title: "By", cell: (v) => <Writer run={v} /> },
  ];
}

function Shown({ version }: { version: VersionRow }) {
  return (
    <Section title={`@${version.number}`}>
      <Facts
        pairs={[
          ["Written (UTC)", utc(version.created_at)],
          ["By", <Writer key="by" run={version} />],
          ["Run", version.run_id],
          ["Parent", version.parent && `@${version.parent}`],
          ["Fingerprint", version.fingerprint && <Code key="fp">{version.fingerprint}</Code>],
          ["Parts", version.parts || null],
          ["Merged", version.merged],
          ["Schema", version.schema?.changes.map((change) => change.sentence).join("; ")],
        ]}
      />
    </Section>
  );
}

function Aliases({ asset }: { asset: Asset }) {
  if (!asset.aliases.length) return null;
  const title = asset.kind === "model" ? "Aliases" : "Aliases and branches";
  return (
    <Section title={title}>
      <Rows
        id={(a) => a.name}
        rows={asset.aliases}
        label={title}
        columns={[
          { title: "Alias", cell: (a) => <Mark text={a.name} /> },
          {
            title: "Version",
            cell: (a) => <Go to={assetPath(asset.name, { version: a.version })}>{`@${a.version}`}</Go>,
          },
          { title: "Since (UTC)", cell: (a) => utc(a.moved_at) },
        ]}
      />
    </Section>
  );
}

/** The version of a link, also one that the list has not reached. */
function useVersion(asset: Asset, chosen: number | null, listed: VersionRow[]): VersionRow | undefined {
  const known = listed.find((version) => version.number === chosen);
  const asked =
    chosen && !known ? at("/assets/{name}/versions", { name: asset.name, before: chosen + 1, limit: 1 }) : null;
  const found = useAnswer(asked).data?.items[0];
  return known ?? (found?.number === chosen ? found : undefined);
}

export function VersionList({ asset, chosen }: { asset: Asset; chosen: number | null }) {
  const pages = usePages(at("/assets/{name}/versions", { name: asset.name }));
  const version = useVersion(asset, chosen, pages.items);
  const empty = asset.kind === "external" ? "Observed only; nothing of it is versioned here." : "No version yet.";
  return (
    <Box>
      <Section title={`Versions (${number(asset.versions)})`}>
        <State answer={pages} />
        {asset.kind !== "model" && <History asset={asset} versions={pages.items} chosen={chosen} />}
        {pages.first && (
          <Rows
            columns={columnsOf(asset)}
            rows={pages.items}
            id={(v) => v.number}
            marked={(v) => v.number === chosen}
            empty={empty}
            label="Versions"
          />
        )}
        <More pages={pages} />
      </Section>
      {version && asset.kind !== "model" && <Shown version={version} />}
      {version?.metrics && (
        <Section title={`Metrics of @${version.number}`}>
          <Facts pairs={Object.entries(version.metrics).sort()} />
        </Section>
      )}
      <Aliases asset={asset} />
    </Box>
  );
}

export default function Versions({ asset, chosen }: AssetPlaceProps) {
  return <VersionList asset={asset} chosen={chosen} />;
}
