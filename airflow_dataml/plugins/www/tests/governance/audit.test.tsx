import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { gist, subjectPath } from "../../src/governance/audit";
import Audit, { dayStart } from "../../src/pages/audit";
import { lend, show } from "../lend";

const ENTRY = {
  seq: 3,
  at: "2026-03-01T12:00:00Z",
  actor: "user:ana",
  action: "promote",
  subject: "ride_late@2",
  detail: { report: 7, reasons: ["better"] },
  hash: "ab",
};

describe("a subject", () => {
  it.each([
    ["promote", "ride_late@2", null],
    ["resolved incident", "incident 7", "/plugin/dataml/incident/7"],
    ["replay dead letters", "backend marquez", "/plugin/dataml/delivery?backend=marquez"],
    ["merge_branch", "dev", "/plugin/dataml/branches"],
    ["publish", "incident reports", null],
  ])("of %s %s", (action, subject, to) => {
    expect(subjectPath({ action, subject })).toBe(to);
  });
});

describe("the gist of a detail", () => {
  it.each([
    [{ report: 7, words: "", from: null }, "report: 7"],
    [{ a: { b: 1 } }, "a.b: 1"],
    [{}, ""],
    ["text", ""],
  ])("%j", (detail, told) => {
    expect(gist(detail)).toBe(told);
  });
});

describe("a day", () => {
  it.each([
    ["2026-03-01", 0, "2026-03-01T00:00:00.000Z"],
    ["2026-03-01", 1, "2026-03-02T00:00:00.000Z"],
    ["soon", 0, null],
    ["2026-99-99", 0, null],
  ])("%s and %s later", (day, later, moment) => {
    expect(dayStart(day, later)).toBe(moment);
  });
});

describe("the audit page", () => {
  it("says that the chain holds, narrows it down in its address and exports what is shown", async () => {
    lend({
      "audit?limit=1&verify=true": { items: [ENTRY], next: 3, entries: 3, fault: null, actions: ["promote"] },
      "audit?actor=user%3Aana&limit=50": {
        items: [ENTRY],
        next: null,
        entries: null,
        fault: null,
        actions: ["promote"],
      },
    });
    show(<Audit name="" query={new URLSearchParams("actor=user:ana")} />);
    expect(await screen.findByText(/The audit chain holds: 3 entries/)).toBeTruthy();
    expect(screen.getByRole("region", { name: "Detail of entry 3" }).textContent).toContain('"better"');
    const link = screen.getByRole("link", { name: "Export these as JSON lines" });
    expect(link.getAttribute("href")).toMatch(/dataml\/audit\/export\?actor=user%3Aana$/);
    fireEvent.change(screen.getByRole("combobox", { name: "Action" }), { target: { value: "promote" } });
    expect(screen.getByTestId("where").textContent).toBe("/plugin/dataml/audit?actor=user%3Aana&action=promote");
  });

  it("says where the chain is broken", async () => {
    lend({
      "audit?limit=1&verify=true": {
        items: [],
        next: null,
        entries: 3,
        fault: "entry 2: content was changed",
        actions: [],
      },
      "audit?limit=50": { items: [], next: null, entries: null, fault: null, actions: [] },
    });
    show(<Audit name="" query={new URLSearchParams()} />);
    expect((await screen.findByRole("alert")).textContent).toContain("broken at entry 2: content was changed");
    expect(await screen.findByText("No decision has been taken yet.")).toBeTruthy();
  });
});
