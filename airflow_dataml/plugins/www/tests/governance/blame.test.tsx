import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { Blame, Blamed, explainedWords, standingOf, suspectOf } from "../../src/governance/blame";
import { lend, refusal, show } from "../lend";

const REPLAY = { measure: "loss", how: "earlier rows", what: "made again", share: 0.8, low: 0.7, high: 0.9, rows: 500 };
const RAW = { version: "rides@11", asset: "rides", change: "new batch", confirmed: true, replay: REPLAY, signs: [] };
const BODY = { outcome: "confirmed", summary: "rides@11 explains 80%", suspects: [RAW], policy: { share: 0.3 } };

describe("a suspect", () => {
  it.each([
    ["is confirmed", {}, "confirmed"],
    ["may be it", { confirmed: false }, "possible"],
    [
      "is ruled out by its replay",
      { confirmed: false, replay: { ...REPLAY, share: 0, low: 0, high: 0.1 } },
      "ruled out",
    ],
    ["without a replay shows a sign", { confirmed: false, replay: null, signs: [{ text: "moved" }] }, "suspected"],
    ["without any test is not ruled out", { confirmed: false, replay: null, tested: false }, "suspected"],
    ["without a sign is ruled out", { confirmed: false, replay: null }, "ruled out"],
  ])("%s", (_, facts, standing) => {
    expect(standingOf(suspectOf({ ...RAW, ...facts }, 0.3))).toBe(standing);
  });

  it.each([
    [REPLAY, "80 % [70 %, 90 %]"],
    [{ ...REPLAY, share: -1, low: -1, high: -1 }, "worse still without it"],
    [null, "not replayed"],
  ])("explains a part", (replay, said) => {
    expect(explainedWords(suspectOf({ ...RAW, replay }, 0.3))).toBe(said);
  });
});

describe("blame", () => {
  it("leads from a suspect to what it changed", () => {
    show(<Blamed body={BODY} />);
    expect(screen.getByText("A data cause is confirmed")).toBeTruthy();
    fireEvent.keyDown(screen.getByRole("link", { name: /^1. rides@11: 80 %/ }), { key: "Enter" });
    expect(screen.getByTestId("where").textContent).toContain("asset/rides?tab=compare&new=11");
  });

  it("may answer that the data is not the cause", () => {
    show(<Blamed body={{ outcome: "no data cause found", suspects: [], summary: "nothing upstream changed" }} />);
    expect(screen.getByText("No data cause found")).toBeTruthy();
    expect(screen.getByText("Nothing upstream changed.")).toBeTruthy();
  });

  it("says why it cannot be read", async () => {
    lend({ "reports/5": refusal(503, "The DataML ledger does not answer.") });
    show(<Blame asset="late" report={5} />);
    expect((await screen.findByRole("alert")).textContent).toContain("does not answer");
  });
});
