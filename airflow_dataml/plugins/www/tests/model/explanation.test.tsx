import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { Explained, linesOf } from "../../src/model/explanation";
import { show } from "../lend";

const one = (feature: string, share: number) => ({
  feature,
  share,
  importance: { estimate: share / 2, low: share / 4, high: share },
});
const BODY = {
  metric: "log_loss",
  rows: 900,
  features: [one("km", 0.8), one("hour", 0.2)],
  slices: [{ column: "kind", value: "bus", rows: 600, features: [one("hour", 1)] }],
  drift: { against: "demand@1", share_shift: 0.5, rank_correlation: -1, shares: [{ feature: "km", change: -0.5 }] },
  predictions: [
    { key: { id: "7" }, end: "high", score: 0.93, label: 1, features: [{ feature: "km", contribution: 0.4 }] },
  ],
};

describe("an explanation", () => {
  it("is drawn, the most important feature first", () => {
    show(<Explained body={BODY} />);
    const drawn = screen.getByRole("img", { name: /Growth of the mean log loss.*km 0.4, 80 % of all; hour 0.1/ });
    expect(drawn).toBeTruthy();
    expect(screen.getByText("Since demand@1")).toBeTruthy();
    expect(screen.getByText(/50 % of the importance lies on other features.* by -1/)).toBeTruthy();
    expect(screen.getByText("km +0.4")).toBeTruthy();
  });

  it("of a slice is chosen", () => {
    show(<Explained body={BODY} />);
    fireEvent.change(screen.getByRole("combobox", { name: "Rows" }), { target: { value: "kind: bus (600 rows)" } });
    expect(screen.getByRole("img", { name: /hour 0.5, 100 % of all$/ })).toBeTruthy();
  });

  it("of another form is no lines", () => {
    expect(linesOf(undefined)).toEqual([]);
    expect(linesOf([{ feature: "km" }])[0]).toMatchObject({ label: "km", interval: null });
  });
});
