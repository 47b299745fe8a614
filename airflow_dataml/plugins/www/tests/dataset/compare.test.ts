import { describe, expect, it } from "vitest";
import { manifestWords } from "../../src/dataset/compare";

const names: [string, string] = ["rides@1", "rides@2"];

describe("what parts tell of rows", () => {
  it.each([
    ["same", { shared: 3, old_parts: 0, old_rows: 0, new_parts: 0, new_rows: 0 }, "Both are made of the same parts"],
    [
      "more",
      { shared: 1, old_parts: 0, old_rows: 0, new_parts: 1, new_rows: 20 },
      "rides@2 has all rows of rides@1, and 20 rows more in 1 part",
    ],
    [
      "less",
      { shared: 1, old_parts: 1, old_rows: 1, new_parts: 0, new_rows: 0 },
      "rides@1 has all rows of rides@2, and 1 row more in 1 part",
    ],
    [
      "both",
      { shared: 0, old_parts: 1, old_rows: 5, new_parts: 1, new_rows: 6 },
      "They share no part. 5 rows are in parts only rides@1 has",
    ],
  ])("%s", (_, manifest, words) => {
    expect(manifestWords(manifest, names)).toContain(words);
  });
  it("nothing where they were not read", () => {
    expect(manifestWords(null, names)).toBeNull();
  });
});
