import { screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { Markdown } from "../../src/model/card";
import { blocksOf, spansOf } from "../../src/model/markdown";
import { show } from "../lend";

describe("pieces of a line", () => {
  it.each([
    ["plain", [{ text: "plain" }]],
    ["a **b** c", [{ text: "a " }, { text: "b", look: "bold" }, { text: " c" }]],
    ["_unknown_", [{ text: "unknown", look: "italic" }]],
    ["ride\\_late\\_2", [{ text: "ride_late_2" }]],
    ["ride_late_2", [{ text: "ride_late_2" }]],
    ["`a|b` \\<b\\>", [{ text: "a|b", look: "code" }, { text: " <b>" }]],
    ["", []],
  ])("%s", (line, spans) => {
    expect(spansOf(line)).toEqual(spans);
  });
});

describe("blocks", () => {
  it("are set apart by empty lines", () => {
    const kinds = blocksOf("# T\n\nwords\nmore\n\n- a\n- b\n\n| x | y |\n| --- | --- |\n| 1 | a\\|b |\n").map(
      (block) => block.kind,
    );
    expect(kinds).toEqual(["heading", "text", "list", "table"]);
  });

  it("keep an escaped bar within its cell", () => {
    const [table] = blocksOf("| x |\n| --- |\n| a\\|b |");
    expect(table).toEqual({ kind: "table", head: [[{ text: "x" }]], rows: [[[{ text: "a|b" }]]] });
  });

  it("are shown as text, never as markup of a page", () => {
    show(<Markdown text={"# A card\n\n<img src=x onerror=alert(1)>\n\n| | |\n| --- | --- |\n| Owner | ana |\n"} />);
    expect(screen.getByRole("heading", { name: "A card" })).toBeTruthy();
    expect(screen.getByText("<img src=x onerror=alert(1)>")).toBeTruthy();
    expect(screen.getByRole("cell", { name: "ana" })).toBeTruthy();
  });
});
