// The graph around an asset: where it came from, what it went into, and what a change of it would reach.

import { Box, Heading } from "@chakra-ui/react";
import { Explorer } from "../lineage/explorer";
import { Start } from "../lineage/start";
import type { PageProps } from "../routes";

export default function LineagePage({ name, query }: PageProps) {
  return (
    <Box>
      <Heading as="h2" size="lg" mb={3}>
        {name ? `Lineage of ${name}` : "Lineage"}
      </Heading>
      {name ? <Explorer name={name} query={query} /> : <Start query={query} />}
    </Box>
  );
}
