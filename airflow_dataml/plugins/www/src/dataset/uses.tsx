// Who writes an asset and who reads it: jobs, assets one step away, and models that depend on it.

import { Box, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { Neighbour } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Column, Facts, Go, Lines, More, Rows, Section, State } from "../ui/pieces";
import { number, utc, words } from "../ui/words";

const COLUMNS: Column<Neighbour>[] = [
  { title: "Asset", cell: (n) => <Go to={assetPath(n.asset)}>{n.asset}</Go> },
  { title: "Kind", cell: (n) => n.kind },
  { title: "By", cell: (n) => <Lines lines={n.jobs} /> },
  { title: "Runs", right: true, cell: (n) => number(n.runs) },
  { title: "Last (UTC)", cell: (n) => utc(n.last_at) },
  { title: "Owner", cell: (n) => words(n.owner) },
];

function Neighbours({
  name,
  direction,
  title,
  empty,
}: {
  name: string;
  direction: "upstream" | "downstream";
  title: string;
  empty: string;
}) {
  const pages = usePages(at("/assets/{name}/neighbours", { name, direction }), { cursor: "after" });
  return (
    <Section title={title}>
      <State answer={pages} />
      {pages.first && <Rows columns={COLUMNS} rows={pages.items} id={(n) => n.asset} label={title} empty={empty} />}
      <More pages={pages} label="Show more" />
    </Section>
  );
}

export default function Uses({ asset }: AssetPlaceProps) {
  return (
    <Box>
      <Section title="Jobs">
        <Facts
          pairs={[
            ["Written by", asset.producers.length ? <Lines key="w" lines={asset.producers} /> : "nobody that is known"],
            ["Read by", asset.consumers.length ? <Lines key="r" lines={asset.consumers} /> : "nobody that is known"],
          ]}
        />
      </Section>
      {asset.models.length > 0 && (
        <Section title="Models that depend on it">
          {asset.models.map((model) => (
            <Text key={model}>
              <Go to={assetPath(model)}>{model}</Go>
            </Text>
          ))}
        </Section>
      )}
      <Neighbours
        name={asset.name}
        direction="downstream"
        title="Goes into"
        empty="Nothing that is known is made of it."
      />
      <Neighbours
        name={asset.name}
        direction="upstream"
        title="Made from"
        empty="It is not known to be made of anything else."
      />
      {asset.names.length > 0 && (
        <Section title="Also called">
          <Rows
            rows={asset.names}
            id={(n) => `${n.namespace} ${n.name}`}
            label="Other names"
            columns={[
              { title: "Where", cell: (n) => n.namespace },
              { title: "Name", cell: (n) => n.name },
            ]}
          />
        </Section>
      )}
    </Box>
  );
}
