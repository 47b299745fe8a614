import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { EvidenceOverTime } from "../../src/model/evidence";
import { Expected, lossWords } from "../../src/model/expected";
import { allowed, Attribution, OwnMetrics } from "../../src/model/metrics";
import { lossLines, movedOf, Slices } from "../../src/model/slices";
import {
  ALL,
  bent,
  columnsOf,
  evidenceOf,
  evidenceWords,
  expectedLoss,
  knownOf,
  unwatched,
} from "../../src/model/watch";
import { show } from "../lend";
import { overTime, watch, window } from "./facts";

const calm = window({ report_id: 1, partition_key: "2026-01", watch: watch({ evidence: overTime() }) });
const alarmed = window({
  report_id: 2,
  partition_key: "2026-02",
  watch: watch({
    evidence: overTime({ evidence: 5, sums: { km: 6, day: 1 }, windows: 2, alarm: true, suspects: ["km"] }),
  }),
});
const after = window({
  report_id: 3,
  partition_key: "2026-03",
  watch: watch({ evidence: overTime({ evidence: 0, sums: { day: 0.5, km: 0 }, windows: 1 }) }),
});

describe("evidence over windows", () => {
  it("draws suspects first, then what has most", () => {
    expect(columnsOf([calm, alarmed, after])).toEqual(["km", "day"]);
    expect(columnsOf([calm, alarmed, after], 1)).toEqual(["km"]);
    expect(columnsOf([window()])).toEqual([]);
  });

  it("begins anew after an alarm, and has gaps where nothing was summed", () => {
    const series = evidenceOf([calm, window(), alarmed, after], ["day"]);
    expect(series.map((one) => one.name)).toEqual(["day", ALL]);
    expect(series[0]?.spots[1]).toBeNull();
    expect(series[1]?.spots.map((spot) => spot?.anew)).toEqual([true, undefined, false, true]);
  });

  it("stays below the bar on the bent axis as it does on an even one", () => {
    const bend = bent(4);
    expect(bend(3)).toBeLessThan(bend(4));
    expect(bend(4000)).toBeLessThan(10);
    expect(bend(0)).toBe(0);
  });

  it("is said in words", () => {
    expect(evidenceWords(alarmed)).toBe("Batch 2026-02: evidence 5 of 4.094, alarm, suspects km; km 6, day 1");
    expect(evidenceWords(window())).toContain("no evidence was summed");
  });

  it("leads to the window it is of, by a key", () => {
    show(<EvidenceOverTime name="late" windows={[calm, alarmed]} chosen={alarmed} />);
    const link = screen.getByRole("link", { name: /^Batch 2026-01/ });
    fireEvent.keyDown(link, { key: "Enter" });
    expect(screen.getByTestId("where").textContent).toContain("tab=monitoring&report=1");
    expect(screen.getByText(/Suspected: km/)).toBeTruthy();
    expect(screen.getByRole("table", { name: "Sums after batch 2026-02" }).textContent).toContain("suspect");
    expect(screen.getAllByText(/alarm bar, 4.094/)[0]).toBeTruthy();
  });

  it("is nothing without a budget", () => {
    show(<EvidenceOverTime name="late" windows={[window()]} chosen={undefined} />);
    expect(screen.queryByText("Evidence against the alarm bar")).toBeNull();
  });
});

describe("labels", () => {
  const loss = { estimate: 0.3, low: 0.2, high: 0.4, level: 0.99, n: 90 };
  const early = window({ partition_key: "2026-01", now: null, watch: watch({ scored: 100, labelled: 10 }) });
  const arrived = { partition_key: "2026-01", scored: 100, labelled: 90, loss };
  const later = window({ report_id: 2, watch: watch({ arrived: [arrived], scored: 50, labelled: 20 }) });

  it("that came later are known of the batch they are of", () => {
    const known = knownOf([early, later]).get("2026-01");
    expect([known?.labelled, known?.loss?.estimate]).toEqual([90, 0.3]);
    expect(knownOf([early, later]).get("2026-02")?.labelled).toBe(20);
  });

  it("are drawn beside what was expected without them", () => {
    const expected = { metric: "log_loss", estimate: 0.5, low: 0.4, high: 0.6, released: 0.45 };
    const seen = window({ watch: watch({ expected: [expected], scored: 9, labelled: 3, promised: 0.9 }) });
    expect(expectedLoss(seen)).toEqual(expected);
    expect(lossWords({ window: seen, known: undefined, expected })).toBe(
      "Batch 2026-02: no labels yet, or too few, expected 0.5 [0.4, 0.6] without labels, 0.5 at release",
    );
    show(<Expected name="late" windows={[seen]} chosen={seen} />);
    expect(screen.getByRole("region", { name: "Expected and realised loss" })).toBeTruthy();
    expect(screen.getByRole("link", { name: /3 of 9 labels are there \(33.3 %\)/ })).toBeTruthy();
    expect(screen.getByText(/Nothing was late/)).toBeTruthy();
  });

  it("that are late are said", () => {
    const late = { late: ["labels of batch 2026-01 are late"] };
    show(
      <Expected name="late" windows={[window({ findings: late, watch: watch({ scored: 9 }) })]} chosen={undefined} />,
    );
    expect(screen.getByText("labels of batch 2026-01 are late")).toBeTruthy();
  });
});

describe("metrics of one's own", () => {
  it.each([
    [null, null, "not known yet"],
    [null, 0.2, "up to 0.2"],
    [1, null, "from 1"],
    [1, 2, "1 to 2"],
  ])("from %s to %s", (low, high, said) => {
    expect(allowed({ low, high })).toBe(said);
  });

  it("stand with their past", () => {
    const metric = { name: "revenue", value: 3, verdict: "fail", low: null, high: 2, reason: null };
    const one = window({ watch: watch({ metrics: [metric] }) });
    show(<OwnMetrics name="late" windows={[one]} chosen={one} />);
    expect(screen.getByRole("link", { name: "revenue of batch 2026-02: 3, fail, up to 2" })).toBeTruthy();
  });

  it("are not the only thing that may be missing", () => {
    expect(unwatched([window()])).toHaveLength(5);
    expect(unwatched([calm])).toHaveLength(4);
  });
});

describe("attribution", () => {
  it("says what it lies on now", () => {
    const attribution = { share_shift: 0.2, against: 4, predictions: 40, shares: [{ feature: "km", change: -0.1 }] };
    show(<Attribution name="late" attribution={attribution} />);
    expect(screen.getByRole("link", { name: "explanation 4" }).getAttribute("href")).toContain("report=4");
    expect(screen.getByRole("img", { name: "-10 points" })).toBeTruthy();
  });
});

describe("slices", () => {
  const loss = { estimate: 0.9, low: 0.8, high: 1 };
  const harbour = { column: "zone", value: "harbour", verdict: "fail", loss, before: { ...loss, estimate: 0.5 } };

  it("with a grown loss come first, each with its past", () => {
    const lines = lossLines([
      { ...harbour, value: "north", verdict: "pass" },
      harbour,
      { column: "zone", value: "few" },
    ]);
    expect(lines.map((line) => line.label.trim())).toEqual([
      "zone is harbour",
      "in the batches before",
      "zone is north",
      "in the batches before",
    ]);
    expect(lines[0]?.told).toContain("surely grown");
  });

  it("are rows, and what moved in them cells", () => {
    const shift = { column: "km", test: "values", psi: 0.3, where: "zone is harbour" };
    const { rows, columns } = movedOf([shift, { ...shift, column: "day", test: "missing", psi: 0.9 }]);
    expect(columns).toEqual(["day · missing", "km"]);
    expect(rows[0]?.cells.get("km")).toBe(0.3);
  });

  it("say what is missing where nothing can be compared", () => {
    show(<Slices slices={{ tests: 4, shifts: [], performance: [], groups: [] }} tolerance={0.1} />);
    expect(screen.getByText(/None of 4 tests/)).toBeTruthy();
    expect(screen.getByText(/Nothing to compare yet/)).toBeTruthy();
  });
});
