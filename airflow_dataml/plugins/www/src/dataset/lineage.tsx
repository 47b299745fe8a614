// The lineage of the chosen version.

import { Lineage } from "../lineage/lineage";
import type { AssetPlaceProps } from "../pages/asset";
import { Note, Section } from "../ui/pieces";

export default function LineageOf({ asset, chosen }: AssetPlaceProps) {
  if (!chosen) return <Note>No version yet.</Note>;
  return (
    <Section title={`Lineage of @${chosen}`}>
      <Lineage key={chosen} name={asset.name} version={String(chosen)} />
    </Section>
  );
}
