import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { axisOf, Forest, ticksOf } from "../../src/model/forest";
import { show } from "../lend";

describe("an axis", () => {
  it.each([
    [0, 1, [0, 0.5, 1]],
    [-0.12, 0.03, [-0.1, -0.05, 0]],
    [3, 3, [3]],
  ])("from %s to %s has round numbers", (low, high, ticks) => {
    expect(ticksOf(low, high)).toEqual(ticks);
  });

  it("holds every interval and every mark", () => {
    const axis = axisOf([{ estimate: -0.1, low: -0.12, high: -0.08 }, null], [0]);
    expect(axis?.low).toBeLessThan(-0.12);
    expect(axis?.high).toBeGreaterThan(0);
    expect(axisOf([null])).toBeNull();
    expect(axisOf([{ estimate: 2, low: null, high: null }])?.ticks.length).toBeGreaterThan(0);
  });
});

describe("a forest plot", () => {
  const interval = { estimate: -0.1, low: -0.2, high: 0 };

  it("says its numbers to who does not see them", () => {
    show(<Forest label="Loss" lines={[{ id: 1, label: "a", told: "-0.1", interval }]} />);
    expect(screen.getByRole("img", { name: "Loss: a -0.1" })).toBeTruthy();
  });

  it("is gone along with a key", () => {
    let gone = 0;
    const line = { id: 1, label: "a", told: "-0.1", interval, go: () => (gone += 1) };
    show(<Forest label="Loss" lines={[line]} marks={[{ at: 0, label: "none" }]} sides={["better", "worse"]} />);
    fireEvent.keyDown(screen.getByRole("link", { name: "a: -0.1" }), { key: "Enter" });
    expect(gone).toBe(1);
    expect(screen.getByText("← better")).toBeTruthy();
  });

  it("is nothing where there is nothing to draw", () => {
    show(<Forest label="Loss" lines={[{ id: 1, label: "a", told: "-", interval: null }]} />);
    expect(screen.queryByRole("img")).toBeNull();
  });
});
