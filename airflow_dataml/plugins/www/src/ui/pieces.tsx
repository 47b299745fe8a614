// Small pieces every page is made of.

import {
  Badge,
  Alert as Banner,
  type BaseProps,
  Box,
  Button,
  Link as ChakraLink,
  Code,
  Flex,
  Heading,
  HStack,
  type Palette,
  SimpleGrid,
  Spinner,
  Table,
  Text,
} from "@chakra-ui/react";
import { Fragment, isValidElement, type ReactNode } from "react";
import { Link } from "react-router-dom";
import { labelPath, type TaskOfRun, taskPath } from "./paths";
import { words } from "./words";

const PALETTE: Record<string, Palette> = {
  pass: "green",
  warn: "orange",
  fail: "red",
  error: "purple",
  unknown: "gray",
  champion: "green",
  current: "green",
  challenger: "blue",
  candidate: "gray",
  previous: "gray",
  critical: "red",
  high: "red",
  medium: "orange",
  low: "gray",
  new: "red",
  acknowledged: "orange",
  assigned: "orange",
  resolved: "green",
  promote: "green",
  retrain: "blue",
  keep: "gray",
  wait: "gray",
  fix_data: "orange",
  additive: "green",
  compatible: "blue",
  breaking: "red",
  retained: "green",
  collected: "gray",
  released: "gray",
  open: "orange",
  replayed: "green",
  discarded: "gray",
  merged: "green",
  dropped: "gray",
  active: "green",
  missing: "orange",
  deleted: "red",
  paused: "orange",
  removed: "gray",
  dead: "red",
  pending: "gray",
  delivered: "green",
  fresh: "green",
  late: "red",
  approved: "green",
  denied: "red",
  rejected: "red",
};

export function Go({ to, children, ...rest }: BaseProps & { to: string }) {
  return (
    <ChakraLink asChild color="fg.info" {...rest}>
      <Link to={to}>{children}</Link>
    </ChakraLink>
  );
}

export function Muted({ children, ...rest }: BaseProps) {
  return (
    <Text as="span" color="fg.muted" {...rest}>
      {children}
    </Text>
  );
}

/** A word of the ledger in its colour; the word is always written, colour alone says nothing. */
export function Mark({ text, title }: { text: string | null | undefined; title?: string }) {
  if (!text) return <Muted>-</Muted>;
  return (
    <Badge colorPalette={PALETTE[text] ?? "gray"} title={title}>
      {text.replaceAll("_", " ")}
    </Badge>
  );
}

export function Marks({ texts }: { texts: string[] }) {
  return (
    <HStack gap={1} wrap="wrap">
      {texts.map((text) => (
        <Mark key={text} text={text} />
      ))}
    </HStack>
  );
}

type Status = "info" | "success" | "warning" | "error";

export function Alert({ status, children, ...rest }: BaseProps & { status: Status }) {
  return (
    <Banner.Root status={status} role={status === "error" ? "alert" : "status"} {...rest}>
      <Banner.Indicator />
      <Banner.Title>{children}</Banner.Title>
    </Banner.Root>
  );
}

/** What is shown while an answer is not there: a spinner that says so, or why there is none. */
export function State({ answer }: { answer: { loading?: boolean; error?: Error } }) {
  if (answer.error) return <Alert status="error">{answer.error.message}</Alert>;
  if (!answer.loading) return null;
  return (
    <Box role="status" aria-live="polite">
      <Spinner size="sm" aria-label="Loading" />
    </Box>
  );
}

export function Note({ children }: { children: ReactNode }) {
  return (
    <Text color="fg.muted" py={2}>
      {children}
    </Text>
  );
}

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box as="section" aria-label={title} mt={6}>
      <Heading as="h3" size="md" mb={2}>
        {title}
      </Heading>
      {children}
    </Box>
  );
}

/** Something to run in a terminal; one click selects all of it. */
export function Command({ children }: { children: string }) {
  return (
    <Code userSelect="all" px={2} py={1} whiteSpace="pre-wrap" wordBreak="break-word">
      {children}
    </Code>
  );
}

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand to the right. */
  right?: boolean;
}

interface RowsProps<Row> {
  columns: Column<Row>[];
  rows: Row[];
  id: (row: Row, position: number) => string | number;
  empty?: string;
  /** What the table is of, for who does not see it. */
  label?: string;
  marked?: (row: Row) => boolean;
}

export function Rows<Row>({ columns, rows, id, empty, label, marked }: RowsProps<Row>) {
  if (!rows.length) return <Note>{empty ?? "Nothing here yet."}</Note>;
  return (
    <Box overflowX="auto" tabIndex={0} role="region" aria-label={label ?? "Table"}>
      <Table.Root size="sm" interactive aria-label={label}>
        <Table.Header>
          <Table.Row>
            {columns.map(({ title, right }) => (
              <Table.ColumnHeader key={title} scope="col" textAlign={right ? "end" : "start"} whiteSpace="nowrap">
                {title}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {rows.map((row, position) => (
            <Table.Row
              key={id(row, position)}
              bg={marked?.(row) ? "bg.muted" : undefined}
              aria-current={marked?.(row) || undefined}
            >
              {columns.map(({ title, right, cell }) => (
                <Table.Cell key={title} textAlign={right ? "end" : "start"} verticalAlign="top">
                  {cell(row)}
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Box>
  );
}

export type Fact = [name: string, value: unknown];

/** Names and values; what is not known is left out. */
export function Facts({ pairs }: { pairs: Fact[] }) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return (
    <SimpleGrid as="dl" columns={{ base: 1, md: 2, xl: 3 }} gapX={8} gapY={1}>
      {known.map(([name, value]) => (
        <Flex key={name} gap={2}>
          <Text as="dt" color="fg.muted" minW="8rem">
            {name}
          </Text>
          <Box as="dd" wordBreak="break-word" minW={0}>
            {isValidElement(value) || Array.isArray(value) ? (value as ReactNode) : words(value)}
          </Box>
        </Flex>
      ))}
    </SimpleGrid>
  );
}

export function More({
  pages,
  label = "Show older",
}: {
  pages: { more: (() => void) | null; loading: boolean };
  label?: string;
}) {
  if (!pages.more) return null;
  return (
    <Button size="sm" variant="outline" mt={3} onClick={pages.more} loading={pages.loading}>
      {label}
    </Button>
  );
}

/** Title, address and name of a place; each is an address of its own, so that it can be sent to somebody. */
export type Place = [title: string, to: string, name: string];

export function Places({
  places,
  here,
  label,
  ...rest
}: BaseProps & { places: Place[]; here?: string; label: string }) {
  return (
    <HStack as="nav" gap={1} wrap="wrap" aria-label={label} {...rest}>
      {places.map(([title, to, name]) => (
        <Button key={name} asChild size="sm" variant={here === name ? "subtle" : "ghost"}>
          <Link to={to} aria-current={here === name ? "page" : undefined}>
            {title}
          </Link>
        </Button>
      ))}
    </HStack>
  );
}

/** A button that is on or off, for what is shown besides. */
export function Toggle({ on, flip, children }: { on: boolean; flip: () => void; children: ReactNode }) {
  return (
    <Button size="sm" variant={on ? "subtle" : "outline"} aria-pressed={on} onClick={flip}>
      {children}
    </Button>
  );
}

export function NodeName({ label }: { label: string }) {
  return <Go to={labelPath(label)}>{label}</Go>;
}

/** Who wrote something: a task of a run, or a person at a terminal. */
export function Writer({ run }: { run: TaskOfRun }) {
  const name = `${run.dag_id}.${run.task_id}`;
  const to = taskPath(run);
  return to ? (
    <Go to={to} title={run.run_id}>
      {name}
    </Go>
  ) : (
    <span title={run.run_id}>{name}</span>
  );
}

export function Lines({ lines }: { lines: ReactNode[] }) {
  return lines.map((line, at) => (
    <Fragment key={at}>
      {at > 0 && <br />}
      {line}
    </Fragment>
  ));
}
