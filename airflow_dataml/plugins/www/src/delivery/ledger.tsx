// Events on their way into the graph: what waits in the ledger, on this host's disk, and what was refused.

import { Box, Button, HStack, SimpleGrid, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { type Pages, usePages } from "../api/reading";
import type { Delivery, Pulse, RefusedEvent } from "../api/types";
import { path } from "../ui/paths";
import { Alert, type Column, Go, More, Muted, Rows, Section, State } from "../ui/pieces";
import { ago, count, duration, number, utc } from "../ui/words";

function Card({ title, value, children }: { title: string; value: string; children: string }) {
  return (
    <Box borderWidth="1px" borderColor="border" borderRadius="md" p={3} role="group" aria-label={title}>
      <Text color="fg.muted" fontSize="sm">
        {title}
      </Text>
      <Text fontSize="xl" fontWeight="bold" fontVariantNumeric="tabular-nums">
        {value}
      </Text>
      <Muted fontSize="sm">{children}</Muted>
    </Box>
  );
}

const COLUMNS: Column<RefusedEvent>[] = [
  { title: "Event", cell: (event) => `#${event.event_id}` },
  { title: "Job", cell: (event) => [event.job_namespace, event.job_name].filter(Boolean).join(" / ") || "-" },
  { title: "Type", cell: (event) => event.event_type ?? "-" },
  { title: "Came (UTC)", cell: (event) => utc(event.received_at) },
  { title: "Why", cell: (event) => event.error ?? "-" },
];

function Refused() {
  const pages = usePages(at("/delivery/refused")) as Pages<RefusedEvent, unknown>;
  return (
    <Section title="Refused by the graph">
      <State answer={pages} />
      {pages.first !== undefined && (
        <Rows
          columns={COLUMNS}
          rows={pages.items}
          id={(event) => event.event_id}
          label="Refused events"
          empty="None."
        />
      )}
      <More pages={pages} />
    </Section>
  );
}

export function Ledger({
  delivery,
  pulse,
  refused,
  again,
}: {
  delivery: Delivery;
  pulse: Pulse;
  refused: boolean;
  again: () => void;
}) {
  const { projection, spool } = pulse;
  const waits = projection.waiting > 100_000 ? "more than 100,000" : number(projection.waiting);
  return (
    <Box>
      <HStack justify="space-between" mb={2}>
        <Muted>{projection.newest_event ? `Newest event ${ago(projection.newest_event)}` : "No event yet"}</Muted>
        <Button size="sm" variant="outline" onClick={again}>
          Look again
        </Button>
      </HStack>
      {spool.ledger_missed && (
        <Alert status="warning">
          A process of this host could not reach the ledger a moment ago; its events wait in the spool.
        </Alert>
      )}
      <SimpleGrid columns={{ base: 1, md: 2, xl: 4 }} gap={3} mt={2}>
        <Card title="Not in the graph yet" value={waits}>
          {projection.lag_s === null ? "The graph has every event" : `the oldest for ${duration(projection.lag_s)}`}
        </Card>
        <Card title="Not told to backends yet" value={number(delivery.unfanned)}>
          {delivery.unfanned ? "A drainer takes them" : "Every backend has its list"}
        </Card>
        <Card title="In this host's spool" value={number(spool.waiting)}>
          {spool.refused ? `${count(spool.refused, "file")} set aside in ${spool.folder}` : spool.folder}
        </Card>
        <Card title="Refused by the graph" value={number(delivery.refused)}>
          {delivery.refused ? "Backends get them all the same" : "None"}
        </Card>
      </SimpleGrid>
      {delivery.refused > 0 && (
        <Text mt={2} fontSize="sm">
          <Go to={path("delivery", { refused: !refused })}>
            {refused ? "Hide refused events" : "Why were they refused?"}
          </Go>
        </Text>
      )}
      {refused && <Refused />}
    </Box>
  );
}
