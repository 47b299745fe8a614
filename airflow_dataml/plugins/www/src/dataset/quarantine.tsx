// The quarantine of one dataset.

import type { AssetPlaceProps } from "../pages/asset";
import { Quarantines } from "./quarantines";

export default function QuarantineOf({ asset }: AssetPlaceProps) {
  return <Quarantines asset={asset.name} />;
}
