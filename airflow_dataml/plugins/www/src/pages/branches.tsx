// Branches: worlds beside the one everybody reads, and how far they are from it.

import { Box, Code, Heading, HStack } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { BranchDataset, BranchRow } from "../api/types";
import type { PageProps } from "../routes";
import { assetPath, path } from "../ui/paths";
import { type Column, Command, Facts, Go, Mark, More, Muted, Note, Rows, State, Toggle, Writer } from "../ui/pieces";
import { number, utc } from "../ui/words";

function At({ asset, version }: { asset: string; version: number | null }) {
  return version ? <Go to={assetPath(asset, { version })}>{`@${version}`}</Go> : <Muted>-</Muted>;
}

function Distance({ steps, other }: { steps: number | null; other: string }) {
  if (steps === null) return <Muted title="a pointer was rolled back past where the branch began">not known</Muted>;
  return <span title={`${number(steps)} versions that ${other} does not have`}>{number(steps)}</span>;
}

const COLUMNS: Column<BranchDataset>[] = [
  { title: "Dataset", cell: (d) => <Go to={assetPath(d.asset)}>{d.asset}</Go> },
  { title: "Began at", cell: (d) => <At asset={d.asset} version={d.base} /> },
  { title: "Branch", cell: (d) => <At asset={d.asset} version={d.head} /> },
  { title: "Current", cell: (d) => <At asset={d.asset} version={d.current} /> },
  { title: "Ahead", right: true, cell: (d) => <Distance steps={d.ahead} other="everybody else" /> },
  { title: "Behind", right: true, cell: (d) => <Distance steps={d.behind} other="the branch" /> },
  {
    title: "Checks",
    cell: (d) =>
      d.report_id ? (
        <Go to={assetPath(d.asset, { tab: "quality", report: d.report_id })}>
          <Mark text={d.verdict} />
        </Go>
      ) : (
        <Muted>none</Muted>
      ),
  },
  {
    title: "Compare",
    cell: (d) =>
      d.ahead && d.current && d.head ? (
        <Go to={assetPath(d.asset, { tab: "compare", old: d.current, new: d.head })}>with current</Go>
      ) : (
        "-"
      ),
  },
];

function Card({ branch }: { branch: BranchRow }) {
  const open = branch.state === "open";
  return (
    <Box
      as="section"
      aria-label={branch.name}
      borderWidth="1px"
      borderColor="border.emphasized"
      borderRadius="md"
      p={3}
      mb={3}
    >
      <HStack gap={3} mb={2}>
        <Heading as="h2" size="md">
          {branch.name}
        </Heading>
        <Mark text={branch.state} />
      </HStack>
      <Facts
        pairs={[
          ["Made (UTC)", utc(branch.created_at)],
          ["By", <Writer key="by" run={branch} />],
          ["Schema", open ? <Code key="schema">{branch.schema}</Code> : null],
          ["Closed (UTC)", branch.closed_at && utc(branch.closed_at)],
        ]}
      />
      {open && (
        <Box mt={3}>
          <Rows
            columns={COLUMNS}
            rows={branch.datasets}
            id={(d) => d.asset}
            empty="No dataset is on it."
            label={`Datasets of ${branch.name}`}
          />
        </Box>
      )}
      {open && (
        <HStack gap={2} wrap="wrap" mt={3}>
          <Command>{`dataml branch diff ${branch.name}`}</Command>
          {branch.datasets.some((d) => d.ahead) && <Command>{`dataml branch merge ${branch.name}`}</Command>}
          <Muted>A DAG runs on it with the configuration</Muted>
          <Command>{JSON.stringify({ dataml_branch: branch.name })}</Command>
        </HStack>
      )}
    </Box>
  );
}

export default function Branches({ query }: PageProps) {
  const navigate = useNavigate();
  const all = query.get("state") === "all";
  const pages = usePages(at("/branches", { state: all ? null : "open" }));
  return (
    <Box>
      <HStack mb={3}>
        <Toggle on={all} flip={() => navigate(path("branches", { state: all ? null : "all" }))}>
          Closed ones too
        </Toggle>
      </HStack>
      <State answer={pages} />
      {pages.first && !pages.items.length && (
        <Note>No branch is open. `dataml branch create NAME` makes one; nothing is copied.</Note>
      )}
      {pages.items.map((branch) => (
        <Card key={branch.branch_id} branch={branch} />
      ))}
      <More pages={pages} />
    </Box>
  );
}
