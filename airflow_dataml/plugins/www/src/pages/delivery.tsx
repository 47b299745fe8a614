// How lineage events come through: into the graph, from this host's spool, and to every backend.

import { Box, Heading } from "@chakra-ui/react";
import { at } from "../api/client";
import { useAnswer } from "../api/reading";
import { Backends } from "../delivery/backends";
import { Letters } from "../delivery/letters";
import { Ledger } from "../delivery/ledger";
import type { PageProps } from "../routes";
import { State } from "../ui/pieces";

export default function DeliveryPage({ query }: PageProps) {
  const delivery = useAnswer(at("/delivery"));
  const pulse = useAnswer(at("/delivery/pulse"));
  const again = () => {
    delivery.again();
    pulse.again();
  };
  const backend = query.get("backend");
  return (
    <Box>
      <Heading as="h2" size="lg" mb={3}>
        Delivery
      </Heading>
      {!delivery.data || !pulse.data ? (
        <State answer={delivery.error ? delivery : pulse} />
      ) : (
        <Box>
          <Ledger delivery={delivery.data} pulse={pulse.data} refused={query.has("refused")} again={again} />
          <Backends delivery={delivery.data} pulse={pulse.data} chosen={backend} />
          {backend && <Letters key={backend} backend={backend} settled={again} />}
        </Box>
      )}
    </Box>
  );
}
