import { fireEvent, screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import type { Incident } from "../../src/api/types";
import { reportPath } from "../../src/governance/evidence";
import { missing, movesOf } from "../../src/governance/moves";
import IncidentPage from "../../src/pages/incident";
import { incident } from "../facts";
import { lend, refusal, show } from "../lend";

const AT = "2026-03-01T12:00:00Z";

function whole(facts: Partial<Incident> = {}): Incident {
  return {
    ...incident(),
    asset_kind: "dataset",
    partition_key: "2026-02",
    evidence: {
      dag_id: "rides",
      run_id: "manual",
      task_id: "audit",
      map_index: -1,
      report_id: 3,
      kind: "check",
      verdict: "fail",
      created_at: AT,
      version: null,
      summary: "1 of 3 checks failed",
      partition_key: "2026-02",
      rows: 20,
      checks: 3,
      worst: [
        {
          name: "invalid(km)",
          verdict: "fail",
          column: "km",
          observed: 15,
          threshold: "= 0",
          unit: "rows",
          detail: null,
        },
      ],
      window: null,
    },
    linked: [],
    upstream: [],
    blame: null,
    decision: null,
    timeline: [
      { at: AT, what: "opened", who: "rides.audit", words: "batch 2 broke its contract", verdict: null, report: 3 },
    ],
    ...facts,
  };
}

function page(name = "7") {
  return show(<IncidentPage name={name} query={new URLSearchParams()} />);
}

describe("what can be done", () => {
  it("leads forward only", () => {
    expect(movesOf("new")).toEqual(["acknowledged", "assigned", "resolved"]);
    expect(movesOf("resolved")).toEqual([]);
  });

  it.each([
    ["acknowledged", "", "", null],
    ["assigned", "", " ", "Say to whom."],
    ["assigned", "", "ana", null],
    ["resolved", " ", "", "Say what was done, so that the next one knows."],
    ["resolved", "replayed", "", null],
  ] as const)("%s with %j for %j", (move, words, assignee, lacks) => {
    expect(missing(move, words, assignee)).toBe(lacks);
  });
});

describe("the place of a report", () => {
  it.each([
    ["check", false, "tab=quality"],
    ["monitor", true, "tab=monitoring"],
    ["evaluation", true, "tab=evaluation"],
    ["training", true, "tab=reports"],
  ])("%s of a model: %s", (kind, model, tab) => {
    expect(reportPath("a", kind, 1, model)).toContain(tab);
  });
});

describe("an incident", () => {
  it("has its evidence and its story", async () => {
    lend({ "incidents/7": whole() });
    page();
    expect(await screen.findByRole("heading", { name: "#7 batch 2 broke its contract" })).toBeTruthy();
    expect(screen.getByText("invalid(km)")).toBeTruthy();
    expect(screen.getByText(/Nothing was ranked, and nothing is known/)).toBeTruthy();
    expect(screen.getByText(/no version has it/)).toBeTruthy();
    expect(screen.getByRole("list", { name: "Timeline" }).textContent).toContain("rides.audit");
  });

  it("is resolved with words, and read again", async () => {
    const { asked, sent } = lend({ "incidents/7": whole(), "incidents/7/state": incident({ state: "resolved" }) });
    page();
    fireEvent.click(await screen.findByRole("button", { name: "Resolve" }));
    expect(screen.getByText("Say what was done, so that the next one knows.")).toBeTruthy();
    expect(sent).toEqual([]);
    fireEvent.change(screen.getByPlaceholderText("What was found or done"), { target: { value: " replayed " } });
    fireEvent.change(screen.getByLabelText("Resolved as"), { target: { value: "false_alarm" } });
    fireEvent.click(screen.getByRole("button", { name: "Resolve" }));
    expect(await screen.findByText("Resolved.")).toBeTruthy();
    const body = { state: "resolved", words: "replayed", assignee: null, reason: "false_alarm" };
    expect(sent).toEqual([{ address: "incidents/7/state", body }]);
    await waitFor(() => expect(asked.filter((address) => address === "incidents/7")).toHaveLength(2));
  });

  it("says that one may not", async () => {
    lend({ "incidents/7": whole(), "incidents/7/state": refusal(403, "Forbidden") });
    page();
    fireEvent.click(await screen.findByRole("button", { name: "Acknowledge" }));
    expect(await screen.findByText("You may not do this here. Ask an administrator.")).toBeTruthy();
  });

  it("that is resolved is only looked at", async () => {
    lend({ "incidents/7": whole({ state: "resolved", resolved_at: AT, resolution: "replayed" }) });
    page();
    expect(await screen.findByText("replayed")).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Resolve" })).toBeNull();
  });

  it("without a number is said to be none", () => {
    lend({});
    page("seven");
    expect(screen.getByRole("alert").textContent).toContain("seven is none");
  });
});
