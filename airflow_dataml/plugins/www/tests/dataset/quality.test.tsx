import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import Quality from "../../src/dataset/quality";
import { rowsOf } from "../../src/dataset/timeline";
import { asset, cell, checkReport } from "../facts";
import { lend, show } from "../lend";

const REPORTS = [
  checkReport({
    report_id: 2,
    version: 2,
    checks: [cell({ observed: 30, verdict: "fail", detail: "too many" }), cell({ id: "new", name: "fresh" })],
  }),
  checkReport({ report_id: 1, version: 1 }),
];

describe("checks over time", () => {
  it("have one row each, in the order of the newest report", () => {
    const rows = rowsOf(REPORTS);
    expect(rows.map((row) => [row.id, [...row.cells.keys()]])).toEqual([
      ["rows", [2, 1]],
      ["new", [2]],
    ]);
  });

  it("say in words what each cell shows, and open their numbers", async () => {
    lend({
      "assets/rides/checks": { items: REPORTS, next: null },
      "assets/rides/reports?version=2&limit=20": { items: [], next: null },
    });
    show(<Quality asset={asset()} chosen={2} report={null} query={new URLSearchParams()} />);
    expect(await screen.findByRole("link", { name: /row_count fail: 30, expected > 0\s+too many/ })).toBeTruthy();
    const head = screen.getByRole("button", { name: "row_count" });
    expect(head.getAttribute("aria-pressed")).toBe("false");
    fireEvent.click(head);
    expect(head.getAttribute("aria-pressed")).toBe("true");
    expect(screen.getByRole("group", { name: "row_count over 2 moments" })).toBeTruthy();
  });
});
