// The versions of a dataset over time, drawn: how many rows each has, what was thought of it, who wrote it.

import { Box, HStack } from "@chakra-ui/react";
import { useEffect, useRef } from "react";
import { useNavigate } from "react-router-dom";
import type { Asset, VersionRow } from "../api/types";
import { clickable, colour, INK, look, Tick, VERDICTS } from "../ui/charts";
import { assetPath } from "../ui/paths";
import { Muted } from "../ui/pieces";
import { count, number, utc, words } from "../ui/words";

const STEP = 30;
const HEIGHT = 110;
const TOP = 18;
const ORDER = ["error", "fail", "unknown", "warn", "pass"];

/** The worst of what was thought of a version; ``null`` where nobody judged it. */
export function worst(version: VersionRow): string | null {
  const found = Object.values(version.verdicts ?? {}).filter((verdict) => verdict !== null);
  return ORDER.find((verdict) => found.includes(verdict)) ?? null;
}

export function versionWords(version: VersionRow): string {
  const rows = version.rows === null ? "rows not known" : count(version.rows, "row");
  const verdict = worst(version) ?? "not verified";
  const batch = version.partition_key ? `, batch ${version.partition_key}` : "";
  return `@${version.number}: ${rows}, ${verdict}, ${words(version.mode)}${batch}, ${utc(version.created_at)} UTC, by ${version.dag_id}.${version.task_id}`;
}

function Bar({
  version,
  tallest,
  chosen,
  go,
}: {
  version: VersionRow;
  tallest: number;
  chosen: boolean;
  go: () => void;
}) {
  const tall = Math.max(((version.rows ?? 0) / tallest) * (HEIGHT - TOP), 2);
  const verdict = worst(version);
  const said = versionWords(version);
  const own = Math.min(version.batch_rows ?? 0, version.rows ?? 0);
  return (
    <g aria-label={said} aria-current={chosen || undefined} {...clickable(go)}>
      <title>{said}</title>
      <rect width={STEP} height={HEIGHT + 34} fill={chosen ? colour("bg-muted") : "transparent"} rx={3} />
      <rect
        x={6}
        width={STEP - 12}
        y={HEIGHT - tall}
        height={tall}
        rx={2}
        fill={INK.old}
        fillOpacity={version.state === "collected" ? 0.25 : 0.5}
      />
      {version.rows !== null && own > 0 && (
        <rect
          x={6}
          width={STEP - 12}
          y={HEIGHT - tall}
          height={Math.max((own / version.rows) * tall, 1)}
          rx={2}
          fill={INK.new}
        />
      )}
      <circle cx={STEP / 2} cy={HEIGHT + 11} r={6} fill={verdict ? look(verdict).fill : "none"} stroke={INK.line} />
      <text x={STEP / 2} y={HEIGHT + 14} textAnchor="middle" style={{ fontSize: "9px", fontWeight: 700 }} fill="white">
        {verdict ? look(verdict).sign : ""}
      </text>
      <Tick x={STEP / 2} y={HEIGHT + 30} anchor="middle" text={`@${version.number}`} />
    </g>
  );
}

export function History({ asset, versions, chosen }: { asset: Asset; versions: VersionRow[]; chosen: number | null }) {
  const navigate = useNavigate();
  const box = useRef<HTMLElement>(null);
  const shown = versions.length;
  useEffect(() => {
    // The newest is what one came for.
    if (box.current && shown) box.current.scrollLeft = box.current.scrollWidth;
  }, [shown]);
  if (shown < 2) return null;
  const order = [...versions].reverse();
  const tallest = Math.max(...order.map((version) => version.rows ?? 0), 1);
  return (
    <Box mt={4} mb={4}>
      <Box ref={box} overflowX="auto" role="region" aria-label="Versions over time" tabIndex={0}>
        <svg
          width={order.length * STEP + 70}
          height={HEIGHT + 36}
          role="group"
          aria-label={`Rows of the last ${count(shown, "version")}`}
          style={{ display: "block" }}
        >
          <line x1={0} x2={order.length * STEP} y1={HEIGHT} y2={HEIGHT} stroke={INK.line} />
          {order.map((version, at) => (
            <g key={version.number} transform={`translate(${at * STEP},0)`}>
              <Bar
                version={version}
                tallest={tallest}
                chosen={version.number === chosen}
                go={() => navigate(assetPath(asset.name, { version: version.number }))}
              />
            </g>
          ))}
          <Tick x={order.length * STEP + 4} y={TOP + 4} text={number(tallest)} />
          <Tick x={order.length * STEP + 4} y={HEIGHT} text="0 rows" />
        </svg>
      </Box>
      <HStack gap={4} wrap="wrap" fontSize="xs" color="fg.muted">
        <Key fill={INK.old} text="rows" />
        <Key fill={INK.new} text="rows of the batch that it brought" />
        {Object.entries(VERDICTS).map(([verdict, { fill }]) => (
          <Key key={verdict} fill={fill} text={verdict} round />
        ))}
        <Muted>faint: its rows are not kept any more</Muted>
      </HStack>
    </Box>
  );
}

function Key({ fill, text, round = false }: { fill: string; text: string; round?: boolean }) {
  return (
    <HStack gap={1}>
      <Box w="10px" h="10px" borderRadius={round ? "full" : "2px"} aria-hidden style={{ background: fill }} />
      {text}
    </HStack>
  );
}
