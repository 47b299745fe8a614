// The catalog: every asset, found as one types and narrowed down by what it is; what needs somebody stands first.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { AssetRow, Found } from "../api/types";
import { AssetRows } from "../catalog/rows";
import { Chips, Kinds, Search } from "../catalog/search";
import { asked, type Asked, isNarrowed, valuesOf } from "../catalog/asked";
import type { PageProps } from "../routes";
import { path } from "../ui/paths";
import { More, Muted, Section, State } from "../ui/pieces";
import { count } from "../ui/words";

const SOME = 10;

/** What is wrong now, before anybody asks: broken contracts, then broken promises of freshness. */
function Attention({ title, failing, stale }: { title: string; failing?: boolean; stale?: boolean }) {
  const pages = usePages<AssetRow, Found>(at("/assets", { failing, stale, limit: SOME }));
  if (!pages.items.length) return null;
  return (
    <Section title={title}>
      <AssetRows rows={pages.items} label={title} narrow={null} />
    </Section>
  );
}

function resultWords(found: number, more: boolean, { q }: Asked): string {
  const words = more ? `The first ${count(found, "asset")}` : count(found, "asset");
  return q ? `${words} for "${q}"` : words;
}

export default function Catalog({ query }: PageProps) {
  const navigate = useNavigate();
  const now = asked(query);
  const narrow = (change: Partial<Asked>, replace = false) => {
    const next = { ...now, ...change };
    void navigate(path("", { ...valuesOf(next), kind: next.kind }), { replace });
  };
  const pages = usePages<AssetRow, Found>(at("/assets", { ...valuesOf(now), limit: 50 }), {
    cursor: "after",
    keep: true,
  });
  const mended = Object.entries(pages.first?.mended ?? {});
  const empty = isNarrowed(now)
    ? "Nothing matches. Take away a filter, or try fewer letters of a word."
    : "The catalog is empty. It fills as DAGs publish datasets and models.";
  return (
    <Box>
      <HStack gap={3} wrap="wrap" mb={2}>
        <Search text={now.q} search={(q) => narrow({ q }, true)} />
        <Kinds asked={now} narrow={narrow} />
      </HStack>
      <Chips asked={now} narrow={narrow} />
      {!isNarrowed(now) && <Attention title="Failing contracts" failing />}
      {!isNarrowed(now) && <Attention title="Later than promised" stale />}
      <Section title={isNarrowed(now) ? "Found" : "All assets"}>
        <Box role="status" aria-live="polite" mb={2}>
          {pages.first && <Muted>{resultWords(pages.items.length, pages.more !== null, now)}</Muted>}
          {mended.map(([word, meant]) => (
            <Text key={word}>{`Nothing is called "${word}"; looked for ${meant.join(", ")} instead.`}</Text>
          ))}
          {pages.first?.capped && <Text>More was found than is ranked: another word narrows it down.</Text>}
        </Box>
        <State answer={pages} />
        {pages.first && <AssetRows rows={pages.items} label="Catalog" empty={empty} narrow={narrow} />}
        <More pages={pages} label="Show more" />
      </Section>
    </Box>
  );
}
