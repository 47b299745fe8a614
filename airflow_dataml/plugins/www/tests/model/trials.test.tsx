import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { Trials, trialsOf } from "../../src/model/trials";
import { show } from "../lend";

const trial = (number: number, metric: number | null, latency: number | null, state = "complete") => ({
  number,
  state,
  metric,
  latency_ms: latency,
  epochs: 3,
  seconds: 1.5,
  params: { learning_rate: 0.01 * (number + 1) },
});

describe("trials", () => {
  it("show the front of both objectives", () => {
    const body = {
      metric: "auc",
      best: 1,
      front: [0, 1],
      trials: [trial(0, 0.9, 4), trial(1, 0.8, 1), trial(2, 0.7, 3), trial(3, null, null, "pruned")],
    };
    show(<Trials body={body} />);
    const name = "auc and latency, ms. On the front: trial 1: auc 0.8, latency, ms 1; trial 0: auc 0.9, latency, ms 4";
    expect(screen.getByRole("img", { name }).querySelectorAll("circle").length).toBe(3);
    expect(screen.getByText("chosen")).toBeTruthy();
    expect(screen.getByText("pruned")).toBeTruthy();
    expect(screen.getByText("learning_rate")).toBeTruthy();
  });

  it("of accuracy alone are drawn in their order", () => {
    show(<Trials body={{ metric: "auc", best: 0, front: [0], trials: [trial(0, 0.9, null), trial(1, 0.8, null)] }} />);
    expect(screen.getByRole("img", { name: "auc and trial. On the front: trial 0: auc 0.9, trial 0" })).toBeTruthy();
    expect(screen.queryByText("Latency, ms")).toBeNull();
  });

  it("of an unknown form are none", () => {
    expect(trialsOf({})).toEqual([]);
    show(<Trials body={{}} />);
    expect(screen.getByText("No trial was recorded.")).toBeTruthy();
  });
});
