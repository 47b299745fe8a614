import { describe, expect, it } from "vitest";
import { decayed, growth, heat, inputsOf, predictionsOf, shiftWords } from "../../src/model/heat";
import { shift, window } from "./facts";

describe("windows as a heat map", () => {
  const calm = window({ report_id: 1, inputs: [shift(), shift({ column: "hour", psi: 0.3, drifted: true })] });
  const later = window({ report_id: 2, inputs: [shift({ test: "missing", psi: 0.01 }), shift({ psi: 0.1 })] });

  it("has a row for each test of each column, what moved most first", () => {
    const rows = inputsOf([calm, later]);
    expect(rows.map((row) => row.name)).toEqual(["hour", "km", "km · missing"]);
    expect([...(rows[1]?.cells.keys() ?? [])]).toEqual([1, 2]);
  });

  it("keeps predictions apart", () => {
    expect(predictionsOf([calm]).map((row) => row.name)).toEqual(["score"]);
  });

  it("says of each cell what was found, and that it was not tested", () => {
    const [hour] = inputsOf([calm, later]);
    if (!hour) throw new Error("no row");
    expect(shiftWords(hour, calm)).toContain("hour moved: PSI 0.3, borne 0.1");
    expect(shiftWords(hour, later)).toContain("not tested in batch 2026-02");
  });

  it.each([
    [null, 0.1, 0],
    [0, 0.1, 0],
    [0.3, 0.1, 1],
    [9, 0.1, 1],
    [0.075, null, 0.5],
  ])("is as dark as PSI %s to a tolerance of %s", (psi, tolerance, dark) => {
    expect(heat(psi, tolerance)).toBeCloseTo(dark);
  });

  it("tells growth and decay only where both sides are known", () => {
    expect(growth(window())).toBe("+10 %");
    expect(growth(window({ released: null }))).toBeNull();
    expect(decayed(window())).toBe(false);
    expect(decayed(window({ limit: 0.4 }))).toBe(true);
    expect(decayed(window({ now: null }))).toBe(false);
  });
});
