// What a model version was trained from and with: pinned data, features, parameters, metrics.

import { Box, Code, HStack } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import type { Training as Facts_ } from "../api/types";
import type { AssetPlaceProps } from "../pages/asset";
import { flatten } from "../reports/body";
import { assetPath } from "../ui/paths";
import { Alert, type Fact, Facts, Go, Marks, NodeName, Note, Rows, Section, State } from "../ui/pieces";
import { duration, number, utc } from "../ui/words";
import { By } from "./history";

function Pinned({ name, training }: { name: string; training: Facts_ }) {
  const { plan, pinned } = training;
  if (!plan?.version) return <Note>It was not trained from a version of the ledger, so nothing is pinned for it.</Note>;
  const pairs: Fact[] = [
    ["Dataset", <NodeName key="dataset" label={plan.version} />],
    ["Batches", plan.partitions.join(", ")],
    ["Trained on rows before", plan.cut],
    ["Held out", plan.cut && `rows from then on, by ${plan.time_column}`],
    ["Asked for because", plan.reasons.join("; ")],
    [
      "By decision",
      plan.reason_report && (
        <Go
          key="reason"
          to={assetPath(name, { tab: "decisions", report: plan.reason_report })}
        >{`report ${plan.reason_report}`}</Go>
      ),
    ],
    ["Pinned since (UTC)", pinned && utc(pinned.pinned_at)],
  ];
  return (
    <Box>
      {pinned && !pinned.kept && (
        <Alert status="warning" mb={2}>
          {`Rows of ${pinned.ref} are gone: this version cannot be trained again from the same data.`}
        </Alert>
      )}
      {!pinned && (
        <Alert status="warning" mb={2}>{`Nothing holds ${plan.version}: retention may collect its rows.`}</Alert>
      )}
      <Facts pairs={pairs} />
    </Box>
  );
}

function Shown({ name, training }: { name: string; training: Facts_ }) {
  const { spec, training: done } = training;
  return (
    <Box>
      <HStack gap={2} mt={4}>
        <Go to={assetPath(name, { version: training.version })}>{`${name}@${training.version}`}</Go>
        <Marks texts={training.aliases} />
      </HStack>
      <Section title="Training data">
        <Pinned name={name} training={training} />
      </Section>
      <Section title="What it predicts, from what">
        <Facts
          pairs={[
            ["Task", spec?.task],
            ["Target", spec?.target],
          ]}
        />
        <Rows
          columns={[
            { title: "Feature", cell: (f) => f.name },
            { title: "Kind", cell: (f) => f.kind },
          ]}
          rows={spec?.features ?? []}
          id={(f) => f.name}
          label="Features"
          empty="Its features are not on record."
        />
      </Section>
      <Section title="Metrics on the validation rows">
        {Object.keys(done?.metrics ?? {}).length ? (
          <Facts pairs={Object.entries(done?.metrics ?? {}).sort()} />
        ) : (
          <Note>None on record.</Note>
        )}
      </Section>
      <Section title="Parameters">
        {Object.keys(training.parameters).length ? (
          <Facts pairs={flatten(training.parameters)} />
        ) : (
          <Note>None on record.</Note>
        )}
      </Section>
      <Section title="How it went">
        <Facts
          pairs={[
            ["Written (UTC)", utc(training.created_at)],
            ["By", <By key="by" run={training} />],
            ["Rows read", done && number(done.rows)],
            ["Epochs", done?.epochs],
            ["Steps", done && number(done.steps)],
            ["Took", typeof done?.seconds === "number" ? duration(done.seconds) : null],
            ["Resumed", done?.resumed ? "from a checkpoint of an earlier try" : null],
            ["Code", training.code_version && <Code key="code">{training.code_version}</Code>],
            ["Weights", done?.weights_digest && <Code key="weights">{done.weights_digest.slice(0, 16)}</Code>],
            ["Artifact", training.artifact_digest && <Code key="art">{training.artifact_digest.slice(0, 16)}</Code>],
            ...flatten(training.registry).map(([key, value]): Fact => [`Registry ${key.replaceAll("_", " ")}`, value]),
          ]}
        />
      </Section>
    </Box>
  );
}

export default function Training({ asset, chosen }: AssetPlaceProps) {
  const version = chosen ? String(chosen) : null;
  const answer = useAnswer(version ? at("/models/{model}/training", { model: asset.name, version }) : null);
  if (!chosen) return <Note>No version yet: a ModelTrainOperator writes the first.</Note>;
  return answer.data ? <Shown name={asset.name} training={answer.data} /> : <State answer={answer} />;
}
