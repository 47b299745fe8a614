import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import ModelPlaces from "../../src/model/places";
import { asset } from "../facts";
import { lend, refusal, show } from "../lend";
import { evaluation, shift, standing, window } from "./facts";

const MODEL = asset({ name: "ride_late", kind: "model" });

function open(query: string, chosen: number | null = 2) {
  const asked = new URLSearchParams(query);
  const report = Number(asked.get("report")) || null;
  return show(<ModelPlaces asset={MODEL} chosen={chosen} report={report} query={asked} />);
}

describe("a model", () => {
  it("opens where it stands, with what comes next where there is nothing", async () => {
    lend({
      "models/ride_late/standing": standing(),
      "models/ride_late/history": { items: [], next: null },
    });
    open("");
    expect(await screen.findByText(/makes the first champion/)).toBeTruthy();
    expect(screen.getByText(/Not evaluated yet/)).toBeTruthy();
    expect(await screen.findByText("No alias was ever moved.")).toBeTruthy();
    expect(screen.getByRole("link", { name: "Overview" }).getAttribute("aria-current")).toBe("page");
  });

  it("says why it cannot be read", async () => {
    lend({ "models/ride_late/standing": refusal(503, "The ledger does not answer.") });
    open("");
    expect((await screen.findByRole("alert")).textContent).toBe("The ledger does not answer.");
  });

  it("shows the newest comparison in full, and another one at its address", async () => {
    const older = evaluation({ report_id: 4, verdict: "fail", summary: "not surely better", decision: null });
    lend({ "models/ride_late/evaluations": { items: [evaluation(), older], next: null } });
    open("tab=evaluation");
    expect(await screen.findByText("it is better")).toBeTruthy();
    fireEvent.click(screen.getByRole("link", { name: "@2 against @1: -0.1 [-0.12, -0.08], fail" }));
    expect(screen.getByTestId("where").textContent).toContain("report=4");
  });

  it("finds the comparison of a link that its list has not reached", async () => {
    lend({
      "models/ride_late/evaluations": { items: [evaluation()], next: 9 },
      "models/ride_late/evaluations?before=4&limit=1": {
        items: [evaluation({ report_id: 3, summary: "an old one" })],
        next: 3,
      },
    });
    open("tab=evaluation&report=3");
    expect(await screen.findByText("an old one")).toBeTruthy();
  });

  it("shows windows oldest first and the newest in full", async () => {
    const alarm = window({
      report_id: 5,
      verdict: "fail",
      partition_key: "2026-03",
      inputs: [shift({ psi: 0.9, drifted: true })],
      findings: { input_drift: ["km values moved"], decay: [] },
    });
    lend({ "models/ride_late/windows": { items: [alarm, window()], next: null } });
    open("tab=monitoring");
    expect(await screen.findByText("km values moved")).toBeTruthy();
    const verdicts = screen.getAllByRole("link", { name: /^Batch 2026-0\d (pass|fail)/ });
    expect(verdicts.map((link) => link.getAttribute("aria-label")?.slice(0, 18))).toEqual([
      "Batch 2026-02 pass",
      "Batch 2026-03 fail",
    ]);
    expect(screen.getByRole("link", { name: /^km moved: PSI 0.9/ })).toBeTruthy();
    expect(screen.getByText("No decision was taken on it.")).toBeTruthy();
  });

  it("has nothing to write a card of before it has a version", async () => {
    lend({});
    open("tab=card", null);
    expect(await screen.findByText(/nothing to write a card of/)).toBeTruthy();
  });
});
