// Dead letters of a backend: what it did not take and why, and sending them again.

import { Box, Button, Dialog, HStack, Portal, Text } from "@chakra-ui/react";
import { useState } from "react";
import { at, send } from "../api/client";
import { usePages } from "../api/reading";
import type { DeadLetter } from "../api/types";
import { path } from "../ui/paths";
import { Alert, type Column, Go, More, Rows, Section, State } from "../ui/pieces";
import { count, utc } from "../ui/words";

interface Asking {
  event: number | null;
  words: string;
}

function Confirm({ asking, busy, yes, no }: { asking: Asking | null; busy: boolean; yes: () => void; no: () => void }) {
  return (
    <Dialog.Root open={asking !== null} onOpenChange={(details) => details.open || no()} role="alertdialog" size="sm">
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content>
            <Dialog.Header>
              <Dialog.Title>Send again?</Dialog.Title>
            </Dialog.Header>
            <Dialog.Body>
              <Text>{asking?.words}</Text>
              <Text mt={2}>It is kept in the audit chain who asked for it.</Text>
            </Dialog.Body>
            <Dialog.Footer>
              <Button variant="outline" onClick={no}>
                Leave them
              </Button>
              <Button colorPalette="blue" loading={busy} onClick={yes}>
                Send again
              </Button>
            </Dialog.Footer>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

function columns(ask: (letter: DeadLetter) => void): Column<DeadLetter>[] {
  return [
    { title: "Event", cell: (letter) => `#${letter.event_id}` },
    { title: "Job", cell: (letter) => [letter.job_namespace, letter.job_name].filter(Boolean).join(" / ") || "-" },
    { title: "Type", cell: (letter) => letter.event_type ?? "-" },
    { title: "Time (UTC)", cell: (letter) => utc(letter.event_time) },
    { title: "Tries", cell: (letter) => letter.attempts, right: true },
    { title: "Why", cell: (letter) => letter.last_error ?? "-" },
    {
      title: "",
      cell: (letter) => (
        <Button
          size="xs"
          variant="outline"
          aria-label={`Send event ${letter.event_id} again`}
          onClick={() => ask(letter)}
        >
          Send again
        </Button>
      ),
    },
  ];
}

export function Letters({ backend, settled }: { backend: string; settled: () => void }) {
  const pages = usePages(at("/delivery/{backend}/dead", { backend }), { cursor: "after" });
  const [asking, setAsking] = useState<Asking | null>(null);
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<{ status: "success" | "error"; words: string } | null>(null);
  const replay = async () => {
    if (!asking) return;
    setBusy(true);
    try {
      const { replayed } = await send("/delivery/{backend}/replay", { backend }, { event_id: asking.event });
      setSaid({ status: "success", words: `${count(replayed, "event")} will be sent to ${backend} again.` });
      pages.again();
      settled();
    } catch (error) {
      setSaid({ status: "error", words: error instanceof Error ? error.message : String(error) });
    } finally {
      setBusy(false);
      setAsking(null);
    }
  };
  const ask = (letter: DeadLetter) =>
    setAsking({ event: letter.event_id, words: `Event ${letter.event_id} goes to ${backend} with its next drain.` });
  return (
    <Section title={`Dead letters of ${backend}`}>
      <HStack mb={2} gap={2}>
        {pages.items.length > 0 && (
          <Button
            size="sm"
            variant="outline"
            onClick={() =>
              setAsking({ event: null, words: `Every dead letter of ${backend} goes there with its next drains.` })
            }
          >
            Send all again
          </Button>
        )}
        <Go to={path("delivery")}>Close</Go>
      </HStack>
      <Box aria-live="polite">{said && <Alert status={said.status}>{said.words}</Alert>}</Box>
      <State answer={pages} />
      {pages.first && (
        <Rows
          columns={columns(ask)}
          rows={pages.items}
          id={(letter) => letter.event_id}
          label="Dead letters"
          empty={`Nothing is dead at ${backend}.`}
        />
      )}
      <More pages={pages} label="Show more" />
      <Confirm asking={asking} busy={busy} yes={() => void replay()} no={() => setAsking(null)} />
    </Section>
  );
}
