// Where events go besides: how far behind each backend is, and what became of the newest events there.

import { Badge, Box, HStack, Text } from "@chakra-ui/react";
import type { Backend, Delivery, Pulse, PulseBar } from "../api/types";
import { Drawing, INK, look, Tick } from "../ui/charts";
import { path } from "../ui/paths";
import { type Column, Command, Go, Mark, Muted, Rows, Section } from "../ui/pieces";
import { ago, count, duration, number, utc } from "../ui/words";

const CHART = { width: 240, height: 44 };
const PARTS = [
  ["delivered", look("pass").fill],
  ["pending", INK.line],
  ["dead", look("fail").fill],
] as const;

/** Bars of equally many events, oldest left: what of them was delivered, waits, or is dead; above, how long it took. */
function Chart({ bars, name }: { bars: PulseBar[]; name: string }) {
  const events = bars.reduce((sum, bar) => sum + bar.events, 0);
  const step = CHART.width / Math.max(bars.length, 1);
  const slowest = Math.max(...bars.map((bar) => bar.took_s ?? 0));
  const said = PARTS.map(([part]) => `${number(bars.reduce((sum, bar) => sum + bar[part], 0))} ${part}`).join(", ");
  return (
    <Drawing
      width={CHART.width}
      height={CHART.height + 14}
      label={`${name}: of the newest ${number(events)} events ${said}; ${slowest ? `the slowest took ${duration(slowest)}` : "none delivered"}`}
    >
      {bars.map((bar, at) => {
        let top = CHART.height;
        return (
          <g key={at}>
            <title>
              {`${utc(bar.since)} to ${utc(bar.until)} UTC: ${bar.delivered} delivered, ${bar.pending} pending, ${bar.dead} dead${
                bar.took_s === null ? "" : `, at most after ${duration(bar.took_s)}`
              }`}
            </title>
            {PARTS.map(([part, fill]) => {
              const tall = (bar[part] / (bar.events || 1)) * CHART.height;
              top -= tall;
              return (
                <rect key={part} x={at * step + 0.5} y={top} width={Math.max(step - 1, 1)} height={tall} fill={fill} />
              );
            })}
          </g>
        );
      })}
      <Tick x={0} y={CHART.height + 12} text={bars[0] ? ago(bars[0].since) : ""} />
      <Tick x={CHART.width} y={CHART.height + 12} text={slowest ? `slowest ${duration(slowest)}` : ""} anchor="end" />
    </Drawing>
  );
}

function State({ backend }: { backend: Backend }) {
  return (
    <Box>
      <HStack gap={2}>
        {backend.failures ? <Badge colorPalette="red">failing</Badge> : <Mark text={backend.state} />}
        {backend.failures > 0 && <Muted>{`asked in vain ${count(backend.failures, "time")}`}</Muted>}
      </HStack>
      {backend.last_error && (
        <Text fontSize="sm" wordBreak="break-word" maxW="24rem" mt={1}>
          {backend.last_error}
        </Text>
      )}
      {backend.retry_at && <Muted fontSize="sm">{`asked again at ${utc(backend.retry_at)} UTC`}</Muted>}
    </Box>
  );
}

function columns(pulse: Pulse): Column<Backend>[] {
  const bars = new Map(pulse.backends.map((one) => [one.name, one.bars]));
  return [
    {
      title: "Backend",
      cell: (b) => (
        <Box>
          <Text fontWeight="bold">{b.name}</Text>
          <Muted fontSize="sm">{[b.kind, b.target].filter(Boolean).join(", ")}</Muted>
        </Box>
      ),
    },
    { title: "State", cell: (b) => <State backend={b} /> },
    {
      title: "Lag",
      cell: (b) => (b.lag_s === null ? "none" : duration(b.lag_s)),
      right: true,
    },
    { title: "Waiting", cell: (b) => number(b.pending), right: true },
    {
      title: "Dead",
      cell: (b) => (b.dead ? <Go to={path("delivery", { backend: b.name })}>{number(b.dead)}</Go> : "0"),
      right: true,
    },
    { title: "Last delivered", cell: (b) => (b.last_delivered_at ? ago(b.last_delivered_at) : "never") },
    {
      title: "Newest events",
      cell: (b) => {
        const found = bars.get(b.name);
        return found ? <Chart bars={found} name={b.name} /> : <Muted>none yet</Muted>;
      },
    },
  ];
}

const EXAMPLE = '{"marquez": {"type": "http", "url": "...", "conn_id": "marquez"}}';

export function Backends({ delivery, pulse, chosen }: { delivery: Delivery; pulse: Pulse; chosen: string | null }) {
  return (
    <Section title="Backends">
      {delivery.backends.length ? (
        <Rows
          columns={columns(pulse)}
          rows={delivery.backends}
          id={(b) => b.name}
          label="Backends"
          marked={(b) => b.name === chosen}
        />
      ) : (
        <Box>
          <Text mb={2}>
            Events go into the ledger&apos;s own graph, and to no backend besides. To send them to Marquez, DataHub,
            OpenMetadata, a file or Kafka too, set the option lineage_backends of the section dataml, for example to
          </Text>
          <Command>{EXAMPLE}</Command>
          <Text mt={2}>and let a drainer run: the operator LineageDrainOperator, or on a host</Text>
          <Command>airflow dataml drain</Command>
        </Box>
      )}
    </Section>
  );
}
