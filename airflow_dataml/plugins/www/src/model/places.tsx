// A model: a place for each question about it, each at an address of its own.

import { Box } from "@chakra-ui/react";
import { type ComponentType, lazy, Suspense } from "react";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Place, Places, State } from "../ui/pieces";

const TABS: Record<string, { title: string; View: ComponentType<AssetPlaceProps> }> = {
  overview: { title: "Overview", View: lazy(() => import("./overview")) },
  versions: { title: "Versions", View: lazy(() => import("./versions")) },
  evaluation: { title: "Champion and challenger", View: lazy(() => import("./evaluations")) },
  monitoring: { title: "Drift and performance", View: lazy(() => import("./monitoring")) },
  training: { title: "Training", View: lazy(() => import("./training")) },
  explanation: { title: "Explanation", View: lazy(() => import("./explanation")) },
  tuning: { title: "Tuning", View: lazy(() => import("./tuning")) },
  card: { title: "Card", View: lazy(() => import("./card")) },
  decisions: { title: "Decisions", View: lazy(() => import("./decisions")) },
  approvals: { title: "Approvals", View: lazy(() => import("./approvals")) },
  reports: { title: "Reports", View: lazy(() => import("./reports")) },
  lineage: { title: "Lineage", View: lazy(() => import("../dataset/lineage")) },
};

export default function ModelPlaces(shown: AssetPlaceProps) {
  const { asset, report, query } = shown;
  const asked = query.get("tab") ?? "";
  // A link to a report alone means the place where reports are, one to a version alone that of versions.
  const other = report ? "reports" : query.has("version") ? "versions" : "overview";
  const here = asked in TABS ? asked : other;
  const version = query.get("version");
  const places = Object.entries(TABS).map(([name, { title }]): Place => [
    title,
    assetPath(asset.name, { tab: name, version }),
    name,
  ]);
  const View = TABS[here]?.View;
  return (
    <Box>
      <Places
        places={places}
        here={here}
        label={asset.name}
        mt={5}
        borderBottomWidth="1px"
        borderColor="border"
        pb={2}
      />
      <Suspense fallback={<State answer={{ loading: true }} />}>{View && <View {...shown} />}</Suspense>
    </Box>
  );
}
