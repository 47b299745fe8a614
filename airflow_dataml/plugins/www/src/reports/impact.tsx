// Impact: which models in use a proposed change would reach, and how much worse each is predicted to become.

import { Box, HStack, Text } from "@chakra-ui/react";
import { useNavigate } from "react-router-dom";
import { Forest, type Interval, type Line } from "../model/forest";
import { labelPath } from "../ui/paths";
import { type Column, Facts, Mark, Marks, Muted, NodeName, Note, Rows } from "../ui/pieces";
import { number, share, words } from "../ui/words";
import { finite, intervalOf, isObject, type Json, objects, text, texts } from "./json";

/** Growth of a model's loss as a part of the loss; ``null`` where it was not measured. */
export function growthOf(model: Json): Interval | null {
  const [growth, loss] = [intervalOf(model.growth), finite(model.loss)];
  if (!growth || !loss) return null;
  const part = (value: number | null) => (value === null ? null : value / loss);
  return { estimate: growth.estimate / loss, low: part(growth.low), high: part(growth.high) };
}

const signed = (value: number | null): string =>
  value === null ? "?" : `${value > 0 ? "+" : ""}${number(Number((100 * value).toPrecision(3)))} %`;

export function growthWords(model: Json): string {
  const growth = growthOf(model);
  if (!growth) return model.unseen ? "made in a way nobody sees" : "not measured";
  return `${signed(growth.estimate)} [${signed(growth.low)}, ${signed(growth.high)}]`;
}

function features(model: Json): string {
  const known = objects(model.features).map((one) => {
    const part = finite(one.share);
    return part === null ? words(one.feature) : `${words(one.feature)} (${share(part)} of its importance)`;
  });
  return known.join(", ") || (model.decided ? "which rows there are" : "-");
}

const MODELS: Column<Json>[] = [
  { title: "Model", cell: (m) => <NodeName label={words(m.version)} /> },
  { title: "Verdict", cell: (m) => <Mark text={text(m.verdict)} /> },
  { title: "In use as", cell: (m) => <Marks texts={texts(m.in_use)} /> },
  { title: "It would lose", cell: features },
  { title: "Loss now", right: true, cell: (m) => number(finite(m.loss)) },
  { title: "Predicted growth", right: true, cell: growthWords },
  {
    title: "Predicted by",
    cell: (m) =>
      ({
        replayed: "scoring its holdout without them",
        explanation: "the sum of what each is worth alone",
      })[words(m.method)] ?? <Muted>nothing</Muted>,
  },
];

export function ImpactDrawn({ body }: { body: Json }) {
  const navigate = useNavigate();
  const models = objects(body.models);
  const policy = isObject(body.policy) ? body.policy : {};
  const tolerance = finite(policy.tolerance);
  const lines = models.map((model): Line => ({
    id: words(model.version),
    label: words(model.version),
    told: `${growthWords(model)}, ${words(model.verdict)}`,
    interval: growthOf(model),
    verdict: text(model.verdict),
    go: () => navigate(labelPath(words(model.version))),
  }));
  const label = "Predicted growth of the mean loss, as a part of it";
  const marks = [{ at: 0, label: "as it is" }];
  return (
    <Box mt={2}>
      <Text fontWeight="bold">Proposed</Text>
      {objects(body.proposed).map((one, at) => (
        <Text key={at}>{words(one.what)}</Text>
      ))}
      {!objects(body.proposed).length && <Note>Nothing changes that readers would notice.</Note>}
      {texts(body.harmless).map((one) => (
        <Text key={one}>
          <Muted>{`${one}; readers do not mind`}</Muted>
        </Text>
      ))}
      <Box mt={2}>
        <Facts
          pairs={[
            ["Goes into", texts(body.reached).join(", ")],
            ["Growth that is borne", tolerance === null ? null : share(tolerance)],
            ["Confidence", finite(policy.confidence) === null ? null : share(finite(policy.confidence))],
          ]}
        />
      </Box>
      {lines.some((line) => line.interval) && (
        <Box overflowX="auto" mt={3} tabIndex={0} role="region" aria-label={label}>
          <Text mb={1}>{label}</Text>
          <Forest
            label={label}
            lines={lines}
            marks={
              tolerance === null
                ? marks
                : [...marks, { at: tolerance, label: `borne up to ${share(tolerance)}`, dashed: true }]
            }
            sides={["better", "worse"]}
          />
        </Box>
      )}
      <Box mt={3}>
        <Rows
          columns={MODELS}
          rows={models}
          id={(m) => words(m.version)}
          label="Models in use that it reaches"
          empty="No model in use is reached."
        />
      </Box>
      {models.some((model) => model.unseen) && (
        <HStack mt={1}>
          <Muted fontSize="sm">
            A model whose data are made in a way of which no columns are known may rest on anything.
          </Muted>
        </HStack>
      )}
    </Box>
  );
}
