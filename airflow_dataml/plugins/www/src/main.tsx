// The DataML page inside Airflow's. Airflow imports this module and takes the component from the global of the app's name.

import { Box, Heading } from "@chakra-ui/react";
import { Component, type ReactNode, Suspense } from "react";
import { useLocation } from "react-router-dom";
import { ROUTES, routeOf } from "./routes";
import { path, ROOT } from "./ui/paths";
import { Alert, type Place, Places, State } from "./ui/pieces";

const PLACES: Place[] = ROUTES.flatMap((route): Place[] =>
  route.title ? [[route.title, path(route.place), route.place]] : [],
);

/** Keeps a fault of one page from taking Airflow's own page with it. */
class Guard extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Alert status="error">{`This page cannot be shown: ${error.message} Reload it, also after an upgrade of the server.`}</Alert>
    );
  }
}

export function DataML() {
  const { pathname, search } = useLocation();
  const at = pathname.indexOf(ROOT);
  const { route, name } = routeOf(at < 0 ? "" : pathname.slice(at + ROOT.length));
  const { Page } = route;
  return (
    <Box p={4} h="full" overflowY="auto" data-testid="dataml">
      <Heading as="h1" size="xl" mb={3}>
        DataML
      </Heading>
      <Places places={PLACES} here={route.place} label="DataML" mb={4} />
      <Guard key={`${route.place} ${name}`}>
        <Suspense fallback={<State answer={{ loading: true }} />}>
          <Page key={name} name={name} query={new URLSearchParams(search)} />
        </Suspense>
      </Guard>
    </Box>
  );
}

Object.assign(globalThis, { DataML });
