import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { apart, Lines, strokeOf } from "../../src/ui/lines";
import { show } from "../lend";

const even = (value: number) => value;

describe("a stroke", () => {
  it("has a gap where nothing is known, and begins anew", () => {
    const spots = [{ value: 1 }, { value: 2 }, null, { value: 3 }, { value: 0, anew: true }];
    expect(strokeOf(spots, even, even)).toBe("M0,1L1,2M3,3M4,0");
  });
});

describe("names at the ends of lines", () => {
  it("do not lie over each other", () => {
    expect(apart([10, 12, 50])).toEqual([10, 24, 50]);
    expect(apart([12, 10])).toEqual([24, 10]);
  });
});

describe("lines", () => {
  it("say each moment, and are nothing without numbers", () => {
    const moments = [{ name: "a", said: "a is 1", go: () => undefined }];
    show(
      <Lines label="Loss" unit="loss" moments={moments} series={[{ name: "x", ink: "fg", spots: [{ value: 1 }] }]} />,
    );
    expect(screen.getByRole("group", { name: "Loss over 1 batches" })).toBeTruthy();
    expect(screen.getByRole("link", { name: "a is 1" })).toBeTruthy();
    show(<Lines label="None" unit="loss" moments={moments} series={[]} />);
    expect(screen.queryByRole("group", { name: /None/ })).toBeNull();
  });
});
