// The versions of a model, newest first, and who moved its aliases among them.

import { Box } from "@chakra-ui/react";
import { VersionList } from "../dataset/versions";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { Places, Section } from "../ui/pieces";
import { History } from "./history";

const FURTHER: [title: string, tab: string][] = [
  ["What it was trained on and with", "training"],
  ["Its card", "card"],
  ["Reports on it", "reports"],
  ["Its lineage", "lineage"],
];

export default function Versions({ asset, chosen }: AssetPlaceProps) {
  return (
    <Box>
      <VersionList asset={asset} chosen={chosen} />
      {chosen && (
        <Places
          mt={3}
          label={`More of @${chosen}`}
          places={FURTHER.map(([title, tab]) => [title, assetPath(asset.name, { tab, version: chosen }), tab])}
        />
      )}
      <Section title="Who moved its aliases">
        <History name={asset.name} />
      </Section>
    </Box>
  );
}
