// The quality of a dataset: where its contract stands, what checks said over time, and the reports behind it.

import { Box, Code, HStack } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { at } from "../api/client";
import { usePages } from "../api/reading";
import type { CheckCell, CheckReport, ContractStanding } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { checkName } from "../reports/body";
import { ChosenReport, Reports } from "../reports/reports";
import { assetPath } from "../ui/paths";
import { type Column, Facts, Go, Mark, More, Note, Rows, Section, State } from "../ui/pieces";
import { count, utc, words } from "../ui/words";
import { Legend, rowsOf, Timeline } from "./timeline";

const OPEN = 4;

function Contract({ name, contract }: { name: string; contract: ContractStanding | null }) {
  if (!contract) return <Note>Nobody verified it yet. A QualityCheckOperator, or write_audit_publish, does.</Note>;
  return (
    <Facts
      pairs={[
        [
          "Last verification",
          <HStack key="last">
            <Mark text={contract.verdict} />
            <Go
              to={assetPath(name, { tab: "quality", report: contract.report_id })}
            >{`report ${contract.report_id}`}</Go>
          </HStack>,
        ],
        ["At (UTC)", utc(contract.created_at)],
        ["Engine", [contract.engine, contract.engine_version].filter(Boolean).join(" ")],
        ["Checks", contract.checks],
        ["Contract", contract.digest && <Code key="digest">{contract.digest.slice(0, 12)}</Code>],
      ]}
    />
  );
}

const PROMISES: Column<CheckCell>[] = [
  { title: "Promise", cell: (c) => checkName(c) },
  { title: "Column", cell: (c) => words(c.column) },
  { title: "Expected", cell: (c) => words(c.threshold) },
  { title: "Last observed", right: true, cell: (c) => `${words(c.observed)} ${c.unit ?? ""}`.trim() },
  { title: "Verdict", cell: (c) => <Mark text={c.verdict} /> },
];

/** What the contract promises, as the newest verification held the data to it. */
function Promises({ report }: { report: CheckReport }) {
  return (
    <Box as="details" mt={3}>
      <summary style={{ cursor: "pointer" }}>{`${count(report.checks.length, "promise")} of the contract`}</summary>
      <Rows columns={PROMISES} rows={report.checks} id={(c, at) => c.id ?? at} label="Promises of the contract" />
    </Box>
  );
}

export default function Quality({ asset, chosen, report }: AssetPlaceProps) {
  const { name } = asset;
  const pages = usePages(at("/assets/{name}/checks", { name }));
  const rows = useMemo(() => rowsOf(pages.items), [pages.items]);
  const [picked, setPicked] = useState<Set<string> | null>(null);
  const usual = useMemo(
    () =>
      new Set(
        rows
          .filter((row) => row.type === "anomaly")
          .slice(0, OPEN)
          .map((row) => row.id),
      ),
    [rows],
  );
  const open = picked ?? usual;
  const toggle = (id: string) =>
    setPicked(new Set(open.has(id) ? [...open].filter((other) => other !== id) : [...open, id]));
  return (
    <Box>
      <Section title="Contract">
        <Contract name={name} contract={asset.contract} />
      </Section>
      {pages.items[0] && <Promises report={pages.items[0]} />}
      <State answer={pages} />
      {rows.length > 0 && (
        <Section title="Timeline">
          <Timeline name={name} reports={pages.items} rows={rows} chosen={report} open={open} toggle={toggle} />
          <Legend />
          <More pages={pages} />
        </Section>
      )}
      {report && <ChosenReport key={report} id={report} />}
      {chosen && (
        <Section title={`Reports of @${chosen}`}>
          <Reports key={chosen} name={name} version={chosen} />
        </Section>
      )}
    </Box>
  );
}
