// What one does about an incident: acknowledge it, give it to somebody, say how it was resolved.

import { Box, Button, Flex, HStack, Input, Text, Textarea } from "@chakra-ui/react";
import { useState } from "react";
import { send } from "../api/client";
import type { Incident } from "../api/types";
import { colour } from "../ui/charts";
import { Alert } from "../ui/pieces";

type State = Incident["state"];
type Move = Exclude<State, "new">;

const TITLES: Record<Move, string> = { acknowledged: "Acknowledge", assigned: "Assign", resolved: "Resolve" };
const DONE: Record<Move, string> = { acknowledged: "Acknowledged.", assigned: "Assigned.", resolved: "Resolved." };
const AHEAD: Record<State, Move[]> = {
  new: ["acknowledged", "assigned", "resolved"],
  acknowledged: ["assigned", "resolved"],
  assigned: ["acknowledged", "assigned", "resolved"],
  resolved: [],
};

const FIELD = {
  background: colour("bg"),
  color: colour("fg"),
  border: `1px solid ${colour("border")}`,
  borderRadius: "4px",
};

type Reason = "fixed" | "expected" | "accepted" | "duplicate" | "false_alarm";

/** What an alarm turned out to be; false alarms are counted against the stated budget. */
const REASONS: Record<Reason, string> = {
  fixed: "fixed",
  expected: "expected change",
  accepted: "accepted",
  duplicate: "duplicate",
  false_alarm: "false alarm",
};

/** Where an incident may go from where it is. */
export function movesOf(state: State): Move[] {
  return AHEAD[state];
}

/** What is still missing for a move; nothing where it can be made. */
export function missing(move: Move, words: string, assignee: string): string | null {
  if (move === "assigned" && !assignee.trim()) return "Say to whom.";
  return move === "resolved" && !words.trim() ? "Say what was done, so that the next one knows." : null;
}

export function Moves({ incident, moved }: { incident: Incident; moved: () => void }) {
  const [words, setWords] = useState("");
  const [assignee, setAssignee] = useState("");
  const [reason, setReason] = useState<Reason | "">("");
  const [busy, setBusy] = useState<Move | null>(null);
  const [told, setTold] = useState<{ status: "success" | "error"; text: string } | null>(null);
  const moves = movesOf(incident.state);
  const go = (move: Move) => {
    const lacks = missing(move, words, assignee);
    if (lacks) {
      setTold({ status: "error", text: lacks });
      return;
    }
    setBusy(move);
    const body = {
      state: move,
      words: words.trim(),
      assignee: move === "assigned" ? assignee.trim() : null,
      reason: move === "resolved" && reason ? reason : null,
    };
    send("/incidents/{incident_id}/state", { incident_id: incident.incident_id }, body).then(
      () => {
        setBusy(null);
        setWords("");
        setTold({ status: "success", text: DONE[move] });
        moved();
      },
      (error: Error) => {
        setBusy(null);
        setTold({ status: "error", text: error.message });
      },
    );
  };
  return (
    <Box as="section" aria-label="What to do" mt={3}>
      {moves.length > 0 && (
        <Flex gap={3} wrap="wrap" align="end">
          <Box flex={1} minW="18rem" maxW="40rem">
            <Text as="label" display="block" fontSize="xs" color="fg.muted" {...{ htmlFor: "incident-words" }}>
              Words; kept in the audit chain
            </Text>
            <Textarea
              id="incident-words"
              size="sm"
              rows={2}
              maxLength={2000}
              value={words}
              placeholder="What was found or done"
              onChange={(event) => setWords(event.target.value)}
            />
          </Box>
          <Box>
            <Text as="label" display="block" fontSize="xs" color="fg.muted" {...{ htmlFor: "incident-assignee" }}>
              Assign to
            </Text>
            <Input
              id="incident-assignee"
              size="sm"
              w="12rem"
              maxLength={200}
              value={assignee}
              placeholder={incident.assignee ?? ""}
              onChange={(event) => setAssignee(event.target.value)}
            />
          </Box>
          <Box>
            <Text as="label" display="block" fontSize="xs" color="fg.muted" {...{ htmlFor: "incident-reason" }}>
              Resolved as
            </Text>
            <select
              id="incident-reason"
              value={reason}
              onChange={(event) => setReason(event.target.value as Reason | "")}
              style={{ padding: "4px", ...FIELD }}
            >
              <option value="">not said</option>
              {Object.entries(REASONS).map(([code, title]) => (
                <option key={code} value={code}>
                  {title}
                </option>
              ))}
            </select>
          </Box>
          <HStack gap={2}>
            {moves.map((move) => (
              <Button
                key={move}
                size="sm"
                variant={move === "resolved" ? "solid" : "outline"}
                loading={busy === move}
                disabled={busy !== null}
                onClick={() => go(move)}
              >
                {TITLES[move]}
              </Button>
            ))}
          </HStack>
        </Flex>
      )}
      <Box aria-live="polite" mt={told ? 2 : 0}>
        {told && <Alert status={told.status}>{told.text}</Alert>}
      </Box>
    </Box>
  );
}
