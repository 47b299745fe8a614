// One asset: what it is, and a place for each question about it.

import { Badge, Box, Flex, Heading, Text } from "@chakra-ui/react";
import { lazy } from "react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { Asset as AssetData } from "../api/types";
import { Freshness } from "../catalog/rows";
import { IncidentRows } from "../governance/incidents";
import type { PageProps } from "../routes";
import { assetPath } from "../ui/paths";
import { Facts, Go, Mark, Muted, Section, State } from "../ui/pieces";
import { count, kinds, size, utc } from "../ui/words";

const DatasetPlaces = lazy(() => import("../dataset/places"));
const ModelPlaces = lazy(() => import("../model/places"));

/** What every place of an asset is given; ``chosen`` is the version that is looked at. */
export interface AssetPlaceProps {
  asset: AssetData;
  chosen: number | null;
  report: number | null;
  query: URLSearchParams;
}

export function numberOf(query: URLSearchParams, name: string): number | null {
  const value = Number(query.get(name));
  return Number.isInteger(value) && value > 0 ? value : null;
}

export function place(asset: { location: Record<string, unknown> }, name: string): string | undefined {
  const value = asset.location[name];
  return typeof value === "string" ? value : undefined;
}

function Head({ asset }: { asset: AssetData }) {
  return (
    <Box>
      <Flex gap={3} align="center" wrap="wrap" mb={3}>
        <Heading as="h2" size="lg">
          {asset.name}
        </Heading>
        <Badge>{kinds(asset)}</Badge>
        {asset.status !== "active" && <Mark text={asset.status} />}
        {asset.verdict ? <Mark text={asset.verdict} /> : asset.version && <Muted>not verified</Muted>}
        {asset.quarantined > 0 && (
          <Go to={assetPath(asset.name, { tab: "quarantine" })}>
            <Badge colorPalette="orange">{`${count(asset.quarantined, "row")} in quarantine`}</Badge>
          </Go>
        )}
        {asset.source === "observed" && <Badge colorPalette="gray">observed</Badge>}
      </Flex>
      {asset.description && <Text mb={2}>{asset.description}</Text>}
      <Facts
        pairs={[
          ["Uri", asset.uri],
          ["Owner", asset.owner],
          ["Importance", asset.importance],
          ["Tags", asset.tags.join(", ")],
          ["Terms", asset.terms.join(", ")],
          ["Domain", asset.domain],
          ["Group", asset.asset_group],
          ["Table", place(asset, "table")],
          ["Producer", place(asset, "producer")],
          ["Current", asset.version && `@${asset.version}`],
          ["Rows", asset.rows],
          ["Kept", asset.bytes ? `${size(asset.bytes)} in all versions` : null],
          ["Last write", asset.last_write || asset.freshness_s ? <Freshness key="fresh" asset={asset} /> : null],
          ["Last seen (UTC)", utc(asset.last_seen)],
        ]}
      />
      {asset.open_incidents.length > 0 && (
        <Section title="Open incidents">
          <IncidentRows rows={asset.open_incidents} />
        </Section>
      )}
    </Box>
  );
}

export default function Asset({ name, query }: PageProps) {
  const answer = useAnswer(at("/assets/{name}", { name }));
  const asset = answer.data;
  if (!asset) return <State answer={answer} />;
  const chosen = numberOf(query, "version") ?? asset.version;
  const shown = { asset, chosen, report: numberOf(query, "report"), query };
  return (
    <Box>
      <Head asset={asset} />
      {asset.kind === "model" ? <ModelPlaces {...shown} /> : <DatasetPlaces {...shown} />}
    </Box>
  );
}
