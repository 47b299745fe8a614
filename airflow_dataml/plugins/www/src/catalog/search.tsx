// Where one types and chooses: the search field, kinds, and what is filtered by.

import { Button, HStack, Input } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";
import { Toggle } from "../ui/pieces";
import { type Asked, FLAGS, KINDS, type Narrow, WORDS } from "./asked";

const PAUSE_MS = 200;
const FLAG_TITLES = { failing: "Failing", stale: "Later than promised" };

/** Asks when the typing pauses, and at once on Enter; "/" leads here from anywhere on the page. */
export function Search({ text, search }: { text: string; search: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  const field = useRef<HTMLElement>(null);
  const ask = useRef(search);
  useEffect(() => {
    ask.current = search;
  });
  // A step back in the browser's history changes what was searched for.
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed === text) return undefined;
    const timer = setTimeout(() => ask.current(typed), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed, text]);
  useEffect(() => {
    const lead = (event: KeyboardEvent) => {
      const typing =
        event.target instanceof HTMLElement && event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", lead);
    return () => document.removeEventListener("keydown", lead);
  }, []);
  return (
    <Input
      ref={field}
      type="search"
      aria-label="Search the catalog"
      placeholder="Name, column, owner, words of the description"
      title="Press / to come here"
      w="28rem"
      maxW="100%"
      size="sm"
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") search(typed);
        if (event.key === "Escape") setTyped("");
      }}
    />
  );
}

export function Kinds({ asked, narrow }: { asked: Asked; narrow: Narrow }) {
  return (
    <HStack gap={1} wrap="wrap" role="group" aria-label="Filters">
      {KINDS.map((kind) => (
        <Toggle key={kind} on={asked.kind === kind} flip={() => narrow({ kind: asked.kind === kind ? null : kind })}>
          {kind}
        </Toggle>
      ))}
      {FLAGS.map((flag) => (
        <Toggle key={flag} on={asked[flag]} flip={() => narrow({ [flag]: !asked[flag] })}>
          {FLAG_TITLES[flag]}
        </Toggle>
      ))}
    </HStack>
  );
}

/** What is filtered by besides, each taken away by a click; they come from clicks on a row. */
export function Chips({ asked, narrow }: { asked: Asked; narrow: Narrow }) {
  const on = WORDS.flatMap((name) => (asked[name] ? [{ name, value: asked[name] }] : []));
  if (!on.length) return null;
  return (
    <HStack gap={1} wrap="wrap" mb={2} role="group" aria-label="Filtered by">
      {on.map(({ name, value }) => (
        <Button
          key={name}
          size="xs"
          variant="subtle"
          aria-label={`Take away ${name} ${value}`}
          onClick={() => narrow({ [name]: null })}
        >
          {`${name}: ${value} ×`}
        </Button>
      ))}
    </HStack>
  );
}
