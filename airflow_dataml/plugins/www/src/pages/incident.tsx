// One incident: what stands behind it, who may have caused it, what happened since, and what to do.

import { Box, Flex, Heading, Text } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import { Decided, Evidence, Linked, Story, Suspects } from "../governance/evidence";
import { Moves } from "../governance/moves";
import type { PageProps } from "../routes";
import { assetPath, path } from "../ui/paths";
import { Alert, Facts, Go, Mark, State } from "../ui/pieces";
import { ago, duration, utc } from "../ui/words";

export default function IncidentPage({ name }: PageProps) {
  const id = Number(name);
  const known = Number.isInteger(id) && id > 0;
  const answer = useAnswer(known ? at("/incidents/{incident_id}", { incident_id: id }) : null);
  if (!known) return <Alert status="error">{`An incident has a number; ${name} is none.`}</Alert>;
  const incident = answer.data;
  if (!incident) return <State answer={answer} />;
  const { opened_at, resolved_at } = incident;
  const lasted = resolved_at ? (new Date(resolved_at).getTime() - new Date(opened_at).getTime()) / 1000 : null;
  return (
    <Box>
      <Text mb={1}>
        <Go to={path("incidents")}>Incidents</Go>
      </Text>
      <Flex gap={3} align="center" wrap="wrap" mb={3}>
        <Heading as="h2" size="lg">{`#${incident.incident_id} ${incident.title}`}</Heading>
        <Mark text={incident.severity} title="severity" />
        <Mark text={incident.state} title="state" />
      </Flex>
      <Facts
        pairs={[
          ["Asset", <Go key="asset" to={assetPath(incident.asset)}>{`${incident.asset} (${incident.asset_kind})`}</Go>],
          ["Kind", incident.kind],
          ["Batch", incident.partition_key],
          ["Opened (UTC)", `${utc(opened_at)}, ${ago(opened_at)}`],
          ["Given to", incident.assignee],
          ["Resolved (UTC)", resolved_at && utc(resolved_at)],
          ["Lasted", lasted === null ? null : duration(lasted)],
          ["Resolution", incident.resolution],
          [
            "Other incidents",
            <Go key="others" to={path("incidents", { asset: incident.asset, state: "all" })}>
              {`of ${incident.asset}`}
            </Go>,
          ],
        ]}
      />
      <Moves incident={incident} moved={answer.again} />
      <Evidence incident={incident} />
      <Suspects incident={incident} />
      <Decided incident={incident} />
      <Linked incident={incident} />
      <Story incident={incident} />
    </Box>
  );
}
