// Who was asked to approve what of a model, what they answered, and how it stands.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { ApprovalAnswer, ApprovalRow } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { assetPath, path } from "../ui/paths";
import { type Column, Go, Mark, More, Muted, NodeName, Rows, Section, State, Toggle } from "../ui/pieces";
import { utc } from "../ui/words";

const EMPTY = "Nobody was asked. An ApprovalOperator before a promotion or a release asks whom its policy names.";

/** An answer in one line. */
export function answered({ voter, approves, voted_at, comment }: ApprovalAnswer): string {
  const said = `${voter} ${approves ? "approved" : "rejected"}, ${utc(voted_at)}`;
  return comment ? `${said}: ${comment}` : said;
}

/** How many of how many have approved, and who may. */
export function needed({ votes, required, approvers }: ApprovalRow): string {
  const last = new Map(votes.map((vote) => [vote.voter, vote.approves]));
  const yes = [...last.values()].filter(Boolean).length;
  return `${yes} of ${required}, by ${approvers.join(", ")}`;
}

function Released({ row }: { row: ApprovalRow }) {
  return (
    <Box>
      {row.releases.map(({ asset, version, left }) => (
        <HStack key={asset} gap={1} wrap="wrap">
          {version ? <NodeName label={version} /> : <Text>{`the next of ${asset}`}</Text>}
          {left && left !== version && <Muted>{`instead of ${left}`}</Muted>}
        </HStack>
      ))}
      <Muted title="What an answer is bound to">{row.release_hash.slice(0, 12)}</Muted>
    </Box>
  );
}

function Answers({ row }: { row: ApprovalRow }) {
  const lines = [...row.votes.map(answered), ...(row.ended_at ? row.reasons : [])];
  if (!lines.length) return <Muted>none yet</Muted>;
  return (
    <Box>
      {lines.map((line) => (
        <Text key={line} fontSize="sm" wordBreak="break-word">
          {line}
        </Text>
      ))}
    </Box>
  );
}

const COLUMNS: Column<ApprovalRow>[] = [
  { title: "Asked (UTC)", cell: (a) => <Text whiteSpace="nowrap">{utc(a.requested_at)}</Text> },
  { title: "State", cell: (a) => <Mark text={a.state} /> },
  { title: "Of what", cell: (a) => <Released row={a} /> },
  { title: "Approvals", cell: (a) => needed(a) },
  { title: "Answers", cell: (a) => <Answers row={a} /> },
  {
    title: "Asked for by",
    cell: (a) => (a.requesters.length ? a.requesters.join(", ") : <Muted>nobody in person</Muted>),
  },
  {
    title: "Over (UTC)",
    cell: (a) => <Text whiteSpace="nowrap">{a.ended_at ? utc(a.ended_at) : `by ${utc(a.expires_at)}`}</Text>,
  },
  {
    title: "Entry",
    right: true,
    cell: (a) => <Go to={path("audit", { subject: `release ${a.release_hash}` })}>{String(a.entry)}</Go>,
  },
];

export default function Approvals({ asset, query }: AssetPlaceProps) {
  const { name } = asset;
  const navigate = useNavigate();
  const waiting = query.has("waiting");
  const pages = usePages(at("/approvals", { asset: name, waiting, limit: 20 }));
  return (
    <Section title="Approvals">
      <HStack mb={2}>
        <Toggle on={waiting} flip={() => navigate(assetPath(name, { tab: "approvals", waiting: !waiting }))}>
          Only those waited for
        </Toggle>
      </HStack>
      <State answer={pages} />
      {pages.first && (
        <Rows
          columns={COLUMNS}
          rows={pages.items}
          id={(a) => a.entry}
          label="Approvals"
          empty={waiting ? "None is waited for." : EMPTY}
        />
      )}
      <More pages={pages} />
      <Text mt={2} fontSize="sm">
        <Muted>
          They are answered in Airflow, under Browse, Required actions; nothing here or in a task can answer.
        </Muted>
      </Text>
    </Section>
  );
}
