// Reports as cards: what was looked at, what was found, what it means.

import { Box, Button, Flex, Heading, HStack, Text } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";
import { at } from "../api/client";
import { useAnswer, usePages } from "../api/reading";
import type { ReportRow, WorstCheck } from "../api/types";
import { Mark, More, Muted, Note, State } from "../ui/pieces";
import { utc, words } from "../ui/words";
import { ReportBody } from "./body";

function Whole({ id }: { id: number }) {
  const answer = useAnswer(at("/reports/{report_id}", { report_id: id }));
  return (
    <Box>
      <State answer={answer} />
      {answer.data && <ReportBody report={answer.data} />}
    </Box>
  );
}

function checkWords(check: WorstCheck): string {
  if (check.detail) return `${check.name}: ${check.detail}`;
  if (check.observed === null || check.observed === undefined) return `${check.name} could not be evaluated`;
  return `${check.name} is ${`${words(check.observed)} ${check.unit ?? ""}`.trim()}, expected ${words(check.threshold)}`;
}

function ReportCard({ report }: { report: ReportRow }) {
  const [open, setOpen] = useState(false);
  const reasons = Array.isArray(report.reasons) ? report.reasons.map(words) : [];
  return (
    <Box borderWidth="1px" borderColor="border.emphasized" borderRadius="md" p={3} mb={2}>
      <Flex gap={3} align="center" wrap="wrap">
        <Text fontWeight="bold">{`${report.kind} report ${report.report_id}`}</Text>
        <Mark text={report.verdict} />
        {report.action && <Mark text={report.action} />}
        {report.version && <Muted>{`of @${report.version}`}</Muted>}
        <Muted>{`${utc(report.created_at)} UTC`}</Muted>
        <Button
          size="xs"
          variant="ghost"
          aria-expanded={open}
          aria-label={`${open ? "Less" : "More"} of report ${report.report_id}`}
          onClick={() => setOpen(!open)}
        >
          {open ? "Less" : "More"}
        </Button>
      </Flex>
      {report.summary !== null && report.summary !== undefined && <Text mt={1}>{words(report.summary)}</Text>}
      {reasons.map((reason) => (
        <Text key={reason} mt={1}>
          {reason}
        </Text>
      ))}
      {report.worst.map((check, position) => (
        <HStack key={position} mt={1}>
          <Mark text={check.verdict} />
          <Text>{checkWords(check)}</Text>
        </HStack>
      ))}
      {open && <Whole id={report.report_id} />}
    </Box>
  );
}

/** One report in full, also one of a batch that was refused and so belongs to no version. */
export function ChosenReport({ id }: { id: number }) {
  const answer = useAnswer(at("/reports/{report_id}", { report_id: id }));
  const box = useRef<HTMLElement>(null);
  const report = answer.data;
  useEffect(() => {
    if (report) box.current?.scrollIntoView({ block: "nearest" });
  }, [report]);
  return (
    <Box as="section" aria-label={`Report ${id}`} mt={6} ref={box}>
      <Heading as="h3" size="md" mb={2}>{`Report ${id}`}</Heading>
      <State answer={answer} />
      {report && (
        <Box borderWidth="2px" borderColor="border.emphasized" borderRadius="md" p={3}>
          <HStack gap={3}>
            <Text fontWeight="bold">{report.kind}</Text>
            <Mark text={report.verdict} />
            <Muted>{`${utc(report.created_at)} UTC`}</Muted>
          </HStack>
          {report.body.summary !== undefined && <Text mt={1}>{words(report.body.summary)}</Text>}
          <ReportBody report={report} />
        </Box>
      )}
    </Box>
  );
}

export function Reports({ name, version }: { name: string; version: number }) {
  const pages = usePages(at("/assets/{name}/reports", { name, version, limit: 20 }));
  return (
    <Box>
      <State answer={pages} />
      {pages.first && !pages.items.length && <Note>No report yet.</Note>}
      {pages.items.map((report) => (
        <ReportCard key={report.report_id} report={report} />
      ))}
      <More pages={pages} />
    </Box>
  );
}
