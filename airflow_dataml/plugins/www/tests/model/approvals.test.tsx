import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import Approvals, { answered, needed } from "../../src/model/approvals";
import { asset } from "../facts";
import { lend, show } from "../lend";
import { approval } from "./facts";

const MODEL = asset({ name: "ride_late", kind: "model" });
const ANN = { voter: "ann", approves: true, voted_at: "2026-03-02T08:00:00Z", comment: "looks right" };

function open(query = "") {
  return show(<Approvals asset={MODEL} chosen={null} report={null} query={new URLSearchParams(query)} />);
}

describe("approvals of a model", () => {
  it("says of what, by whom, and what was answered", async () => {
    const given = approval({
      entry: 5,
      state: "approved",
      votes: [ANN],
      ended_at: "2026-03-02T08:00:05Z",
      reasons: ["approved by ann, 1 of 1"],
      required: 1,
      requesters: [],
      releases: [{ asset: "rides", kind: "dataset", version: null, left: "rides@3" }],
    });
    lend({ "approvals?asset=ride_late&waiting=false&limit=20": { items: [approval(), given], next: null } });
    open();
    expect(await screen.findByText("instead of ride_late@1")).toBeTruthy();
    expect(screen.getByText("0 of 2, by ann, bob")).toBeTruthy();
    expect(screen.getByText("by 2026-03-08 12:00:00")).toBeTruthy();
    expect(screen.getByText("the next of rides")).toBeTruthy();
    expect(screen.getByText("ann approved, 2026-03-02 08:00:00: looks right")).toBeTruthy();
    expect(screen.getByText("approved by ann, 1 of 1")).toBeTruthy();
    expect(screen.getByText("nobody in person")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Only those waited for" }));
    expect(screen.getByTestId("where").textContent).toContain("waiting");
  });

  it("says what would ask where nobody was", async () => {
    lend({ "approvals?asset=ride_late&waiting=false&limit=20": { items: [], next: null } });
    open();
    expect(await screen.findByText(/An ApprovalOperator before a promotion/)).toBeTruthy();
  });

  it("counts of each person the last answer", () => {
    const votes = [ANN, { ...ANN, approves: false, comment: "" }];
    expect(needed(approval({ votes }))).toBe("0 of 2, by ann, bob");
    expect(answered(votes[1] ?? ANN)).toBe("ann rejected, 2026-03-02 08:00:00");
  });
});
