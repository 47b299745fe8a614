import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import type { Report } from "../../src/api/types";
import Impact from "../../src/dataset/impact";
import { ReportBody } from "../../src/reports/body";
import { growthOf, growthWords, ImpactDrawn } from "../../src/reports/impact";
import { ReachDrawn, runs } from "../../src/reports/reach";
import { asset } from "../facts";
import { lend, show } from "../lend";

const GROWTH = { estimate: 0.05, low: 0.04, high: 0.06 };
const MODEL = { version: "late@2", in_use: ["champion"], loss: 0.5, growth: GROWTH, verdict: "fail", features: [] };
const PLACE = { asset: "late", kind: "model", versions: [1, 2, 4], via: "learnt", rows: 5, in_use: ["champion"] };

function report(kind: string, body: Record<string, unknown>): Report {
  const run = { dag_id: "d", run_id: "r", task_id: "t", map_index: -1 };
  return {
    ...run,
    report_id: 1,
    asset: "rides",
    kind,
    verdict: "fail",
    body,
    created_at: "",
    version_id: 1,
    part_id: null,
  };
}

describe("predicted growth", () => {
  it.each([
    [MODEL, "+10 % [+8 %, +12 %]"],
    [{ ...MODEL, growth: null }, "not measured"],
    [{ ...MODEL, growth: null, unseen: true }, "made in a way nobody sees"],
  ])("is a part of the loss", (model, said) => {
    expect(growthWords(model)).toBe(said);
  });

  it("of no loss is none", () => {
    expect(growthOf({ ...MODEL, loss: 0 })).toBeNull();
  });
});

describe("impact", () => {
  it("is a forest that leads to the models", () => {
    const body = { models: [MODEL], proposed: [{ what: "km is gone" }], policy: { tolerance: 0.01 } };
    show(<ImpactDrawn body={body} />);
    expect(screen.getByRole("link", { name: /^late@2: \+10 %/ })).toBeTruthy();
    expect(screen.getByText("km is gone")).toBeTruthy();
  });

  it("may reach nothing", () => {
    show(<ImpactDrawn body={{ models: [] }} />);
    expect(screen.getByText("No model in use is reached.")).toBeTruthy();
  });
});

describe("reach", () => {
  it.each([
    [[3], "@3"],
    [[4, 3, 5, 9], "@3 to @5, @9"],
    [[], ""],
  ])("of versions %j", (numbers, said) => {
    expect(runs(numbers)).toBe(said);
  });

  it("says who holds the rows, and what was decided in whose words", () => {
    const body = {
      found: [PLACE],
      searched: 7,
      action: "waive",
      because: "kept by law",
      blind: ["zones@1"],
      aside: [],
    };
    show(<ReachDrawn body={body} />);
    expect(screen.getByRole("link", { name: "@1 to @2, @4" })).toBeTruthy();
    expect(screen.getByRole("img", { name: "5 rows" })).toBeTruthy();
    expect(screen.getByText("kept by law")).toBeTruthy();
    expect(screen.getByText("Could not be searched: zones@1")).toBeTruthy();
  });
});

describe("a report", () => {
  it.each([
    ["reach", { found: [PLACE] }, /@1 to @2/],
    ["impact", { models: [MODEL] }, /late@2/],
    ["blame", { suspects: [], outcome: "confirmed" }, /data cause is confirmed/],
  ])("of %s is drawn", async (kind, body, said) => {
    show(<ReportBody report={report(kind, body)} />);
    expect((await screen.findAllByText(said)).length).toBeGreaterThan(0);
  });

  it("without what is to be drawn is told", () => {
    show(<ReportBody report={report("impact", { because: "of old" })} />);
    expect(screen.getByText("of old")).toBeTruthy();
  });
});

describe("the place of both", () => {
  it("says how to ask where nobody did", async () => {
    const none = { items: [], next: null };
    lend({
      "assets/rides/reports?kind=impact&limit=10": none,
      "assets/rides/reports?kind=reach&limit=10": none,
    });
    show(<Impact asset={asset()} chosen={2} report={null} query={new URLSearchParams()} />);
    expect(await screen.findByText("Nobody has asked where rows of it went.")).toBeTruthy();
    expect(screen.getByText("dataml impact rides --drop <column>")).toBeTruthy();
  });
});
