// What is asked of the graph: which one, which way, how far, as of when, by columns, and words to find in it.

import { Box, Button, HStack, Input, NativeSelect, Text } from "@chakra-ui/react";
import { type ReactNode, useEffect, useState } from "react";
import { colour } from "../ui/charts";
import { Toggle } from "../ui/pieces";
import { utc } from "../ui/words";
import { type Asked, type By, type Change, DEPTH, type Way } from "./asked";

const PAUSE_MS = 150;

function Choice({
  label,
  value,
  options,
  choose,
}: {
  label: string;
  value: string;
  options: [value: string, title: string][];
  choose: (value: string) => void;
}) {
  return (
    <NativeSelect.Root size="sm" w="auto">
      <NativeSelect.Field
        aria-label={label}
        value={value}
        onChange={(event: { target: { value: string } }) => choose(event.target.value)}
      >
        {options.map(([name, title]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

const DEPTHS = Array.from({ length: DEPTH.most }, (_, at): [string, string] => [
  String(at + 1),
  at ? `${at + 1} steps` : "1 step",
]);

export function Toolbar({
  asked,
  change,
  matches,
  next,
  children,
}: {
  asked: Asked;
  change: Change;
  matches: string[];
  next: (step: 1 | -1) => void;
  children?: ReactNode;
}) {
  const [typed, setTyped] = useState(asked.q);
  useEffect(() => setTyped(asked.q), [asked.q]);
  useEffect(() => {
    if (typed === asked.q) return undefined;
    const timer = setTimeout(() => change({ q: typed }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed, asked.q, change]);
  const other = { node: null, column: null, trace: false, open: [], at: null };
  return (
    <HStack gap={2} wrap="wrap" mb={2} role="group" aria-label="What is shown">
      <Choice
        label="Graph of"
        value={asked.by}
        options={[
          ["version", "Versions"],
          ["asset", "Assets"],
        ]}
        choose={(by) => change({ by: by as By, ...other }, { push: true })}
      />
      {!asked.to && (
        <Choice
          label="Direction"
          value={asked.direction}
          options={[
            ["both", "Both ways"],
            ["upstream", "Made from"],
            ["downstream", "Went into"],
          ]}
          choose={(way) => change({ direction: way as Way }, { push: true })}
        />
      )}
      {!asked.to && (
        <Choice
          label="Steps"
          value={String(asked.depth)}
          options={DEPTHS}
          choose={(depth) => change({ depth: Number(depth) }, { push: true })}
        />
      )}
      <Toggle on={asked.columns} flip={() => change({ columns: !asked.columns, column: null, trace: false })}>
        Columns
      </Toggle>
      <Toggle on={asked.list} flip={() => change({ list: !asked.list })}>
        As a table
      </Toggle>
      <Input
        type="search"
        size="sm"
        w="14rem"
        aria-label="Find in the graph"
        placeholder="Find in the graph"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
        }}
      />
      {asked.q && (
        <HStack gap={1}>
          <Text fontSize="sm" color="fg.muted" aria-live="polite">
            {matches.length ? `${matches.length} found` : "Nothing found here"}
          </Text>
          {matches.length > 0 && (
            <Button size="xs" variant="outline" aria-label="Next one found" onClick={() => next(1)}>
              Next
            </Button>
          )}
        </HStack>
      )}
      {children}
    </HStack>
  );
}

/** The graph as it was known at a moment; each step of the slider is one at which something became known. */
export function TimeSlider({ asked, change, moments }: { asked: Asked; change: Change; moments: string[] }) {
  const last = moments.length - 1;
  const at = asked.at ? moments.findLastIndex((moment) => moment <= (asked.at ?? "")) : last;
  const [held, setHeld] = useState<number | null>(null);
  useEffect(() => {
    if (held === null) return undefined;
    const timer = setTimeout(() => {
      change({ at: held >= last ? null : (moments[held] ?? null) });
      setHeld(null);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [held, last, moments, change]);
  if (moments.length < 2) return null;
  const shown = held ?? Math.max(at, 0);
  const said = shown >= last ? "now" : `${utc(moments[shown])} UTC`;
  return (
    <HStack gap={3} mt={2} wrap="wrap">
      <Text as="span" fontSize="sm" color="fg.muted" id="lineage-time">
        As known
      </Text>
      <Box flex={1} minW="12rem" maxW="40rem">
        <input
          type="range"
          min={0}
          max={last}
          step={1}
          value={shown}
          aria-labelledby="lineage-time"
          aria-valuetext={said}
          onChange={(event) => setHeld(Number(event.target.value))}
          style={{ width: "100%", accentColor: colour("blue-solid") }}
        />
      </Box>
      <Text as="span" fontSize="sm" aria-live="polite" fontVariantNumeric="tabular-nums" minW="12rem">
        {said}
      </Text>
      {asked.at && (
        <Button size="xs" variant="outline" onClick={() => change({ at: null })}>
          Now
        </Button>
      )}
    </HStack>
  );
}
