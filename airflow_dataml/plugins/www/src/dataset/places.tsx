// A dataset: a place for each question about it, each at an address of its own.

import { Box } from "@chakra-ui/react";
import { type ComponentType, lazy, Suspense } from "react";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath } from "../ui/paths";
import { type Place, Places, State } from "../ui/pieces";

const TABS: Record<string, { title: string; View: ComponentType<AssetPlaceProps> }> = {
  versions: { title: "Versions", View: lazy(() => import("./versions")) },
  quality: { title: "Quality", View: lazy(() => import("./quality")) },
  profile: { title: "Profile", View: lazy(() => import("./profile")) },
  compare: { title: "Compare", View: lazy(() => import("./compare")) },
  quarantine: { title: "Quarantine", View: lazy(() => import("./quarantine")) },
  schema: { title: "Schema", View: lazy(() => import("./schema")) },
  uses: { title: "Uses", View: lazy(() => import("./uses")) },
  impact: { title: "Impact", View: lazy(() => import("./impact")) },
  layout: { title: "Layout", View: lazy(() => import("./layout")) },
  lineage: { title: "Lineage", View: lazy(() => import("./lineage")) },
};

export default function DatasetPlaces(shown: AssetPlaceProps) {
  const { asset, report, query } = shown;
  const asked = query.get("tab") ?? "";
  // A link to a report alone means the place where reports are.
  const here = asked in TABS ? asked : report ? "quality" : "versions";
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
