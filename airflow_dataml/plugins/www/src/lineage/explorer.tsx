// The graph with everything around it: what is asked, the picture, what is known of the chosen card, words instead.

import { Badge, Box, Button, Flex, HStack, VisuallyHidden } from "@chakra-ui/react";
import { useCallback, useMemo, useRef } from "react";
import { Go, Note, State } from "../ui/pieces";
import { count } from "../ui/words";
import { addressOf, type Asked, type Change, useAsked } from "./asked";
import { GraphCanvas } from "./canvas";
import { columnId, traced } from "./columns";
import { Listing } from "./listing";
import { closure, found, type Picture } from "./model";
import { Panel } from "./panel";
import { type Shown, useImpact, useShown } from "./reading";
import { TimeSlider, Toolbar } from "./toolbar";

/** The same function in every render, which does what the newest one says. */
function useStable<Arguments extends unknown[]>(act: (...given: Arguments) => void): (...given: Arguments) => void {
  const newest = useRef(act);
  newest.current = act;
  return useCallback((...given: Arguments) => newest.current(...given), []);
}

function useChoices(asked: Asked, change: Change) {
  const select = useStable((node: string | null, column?: string) => {
    const name = column?.split("\n")[1] ?? null;
    // What is followed alone stays so until it is ended.
    change(asked.trace ? (name ? { node, column: name } : {}) : { node, column: name });
  });
  const expand = useStable((node: string, way: "both" | "upstream" | "downstream") => {
    const entry = way === "both" ? node : `${node}:${way}`;
    if (!asked.open.includes(entry)) change({ open: [...asked.open, entry], node }, { push: true });
  });
  return { select, expand };
}

function useLooks(asked: Asked, shown: Shown) {
  const { data: picture, columns } = shown;
  const impact = useImpact(asked, asked.node ?? picture?.start ?? null);
  const matches = useMemo(() => (picture && asked.q ? found(picture, asked.q) : []), [picture, asked.q]);
  const lit = useMemo(() => {
    if (!picture || !asked.impact) return null;
    return new Set([...closure([asked.node ?? picture.start], picture.down), ...(impact.data?.nodes ?? [])]);
  }, [picture, asked.impact, asked.node, impact.data]);
  const marked = useMemo(() => (matches.length ? new Set(matches) : null), [matches]);
  const followed = useMemo(
    () => (columns && asked.node && asked.column ? traced(columns.flows, columnId(asked.node, asked.column)) : null),
    [columns, asked.node, asked.column],
  );
  return { impact, matches, lit, marked, followed };
}

function Said({ asked, change, shown, picture }: { asked: Asked; change: Change; shown: Shown; picture: Picture }) {
  const total = `${count(picture.nodes.size, "node")}, ${count(picture.edges.length, "edge")}`;
  return (
    <HStack gap={2} wrap="wrap" mb={2} fontSize="sm" color="fg.muted">
      <span role="status" aria-live="polite">
        {shown.truncated ? `${total}; there is more: open a card to go on` : total}
      </span>
      {asked.to && (
        <Button size="xs" variant="subtle" onClick={() => change({ to: null }, { push: true })}>
          {`Ways ${shown.backwards ? "from" : "to"} ${asked.to} ×`}
        </Button>
      )}
      {asked.trace && asked.column && (
        <Button size="xs" variant="subtle" onClick={() => change({ trace: false }, { push: true })}>
          {`Column ${asked.column} alone ×`}
        </Button>
      )}
      {asked.open.length > 0 && (
        <Button size="xs" variant="subtle" onClick={() => change({ open: [] }, { push: true })}>
          {`${count(asked.open.length, "card")} opened ×`}
        </Button>
      )}
      {shown.loading && <VisuallyHidden>Loading</VisuallyHidden>}
    </HStack>
  );
}

const LEGEND = [
  ["dataset", "blue"],
  ["model", "purple"],
  ["prediction", "teal"],
  ["external", "gray"],
  ["report", "orange"],
] as const;

function Legend({ picture }: { picture: Picture }) {
  const kinds = new Set([...picture.nodes.values()].map((node) => node.kind));
  return (
    <HStack gap={1} wrap="wrap" ml="auto" role="group" aria-label="Kinds">
      {LEGEND.filter(([kind]) => kinds.has(kind)).map(([kind, palette]) => (
        <Badge key={kind} colorPalette={palette}>
          {kind}
        </Badge>
      ))}
    </HStack>
  );
}

function NothingAround({ asked, picture }: { asked: Asked; picture: Picture }) {
  if (asked.to && !picture.nodes.size)
    return (
      <Note>
        {`No way leads between ${asked.name} and ${asked.to}${asked.at ? " at that time" : ""}. `}
        <Go to={addressOf({ ...asked, to: null })}>Back to what is around it</Go>
      </Note>
    );
  if (asked.to || picture.edges.length) return null;
  return (
    <Note>
      {asked.at
        ? "Nothing was known around it at that time."
        : "Nothing is known of where it came from or went to. A task that reads or writes it adds itself; other systems send OpenLineage events."}
    </Note>
  );
}

/** A version that does not exist may still be known by name. */
function Missing({ asked, shown }: { asked: Asked; shown: Shown }) {
  return (
    <Box>
      <State answer={shown} />
      {asked.by === "version" && shown.error?.message.includes("no version") && (
        <Note>
          <Go to={addressOf({ ...asked, by: "asset", node: null, open: [] })}>Look at it in the graph of assets</Go>
        </Note>
      )}
    </Box>
  );
}

export function Explorer({ name, query }: { name: string; query: URLSearchParams }) {
  const [asked, change] = useAsked(name, query);
  const shown = useShown(asked);
  const { select, expand } = useChoices(asked, change);
  const { impact, matches, lit, marked, followed } = useLooks(asked, shown);
  const picture = shown.data;
  const next = (step: 1 | -1) => {
    const at = matches.indexOf(asked.node ?? "");
    const node = matches[at < 0 ? (step > 0 ? 0 : matches.length - 1) : (at + step + matches.length) % matches.length];
    if (node) change({ node, column: null });
  };
  return (
    <Box>
      <Toolbar asked={asked} change={change} matches={matches} next={next}>
        {picture && <Legend picture={picture} />}
      </Toolbar>
      {picture ? (
        <Said asked={asked} change={change} shown={shown} picture={picture} />
      ) : (
        <Missing asked={asked} shown={shown} />
      )}
      {picture && shown.error && <State answer={{ error: shown.error }} />}
      {picture && <NothingAround asked={asked} picture={picture} />}
      {picture && !asked.list && picture.nodes.size > 0 && (
        <Flex gap={4} direction={{ base: "column", lg: "row" }} align="stretch">
          <Box flex={1} minW={0}>
            <GraphCanvas
              picture={picture}
              columns={shown.columns}
              selected={asked.node}
              lit={lit}
              matches={marked}
              traced={followed}
              height="max(26rem, calc(100vh - 21rem))"
              select={select}
              expand={expand}
            />
            <TimeSlider asked={asked} change={change} moments={shown.moments} />
          </Box>
          <Box width={{ base: "100%", lg: "20rem" }} flexShrink={0} overflowY="auto" maxH="calc(100vh - 18rem)">
            <Panel
              asked={asked}
              change={change}
              picture={picture}
              columns={shown.columns}
              impact={impact}
              expand={expand}
            />
          </Box>
        </Flex>
      )}
      {picture && asked.list && picture.nodes.size > 0 && <Listing picture={picture} matches={marked} />}
    </Box>
  );
}
