import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { versionWords, worst } from "../../src/dataset/history";
import Versions from "../../src/dataset/versions";
import { asset, version } from "../facts";
import { lend, show } from "../lend";

describe("a version", () => {
  it("is as good as the worst of what was thought of it", () => {
    expect(worst(version({ verdicts: { check: "pass", monitor: "warn" } }))).toBe("warn");
    expect(worst(version({ verdicts: null }))).toBeNull();
  });
  it("is said in words", () => {
    expect(versionWords(version({ number: 7, partition_key: "2026-03" }))).toBe(
      "@7: 20 rows, pass, append, batch 2026-03, 2026-03-01 12:00:00 UTC, by rides.publish",
    );
  });
});

describe("versions", () => {
  const versions = [version({ number: 2, parent: 1, aliases: ["current"] }), version()];

  it("are drawn and listed, each at its address", async () => {
    lend({ "assets/rides/versions": { items: versions, next: null } });
    show(<Versions asset={asset()} chosen={2} report={null} query={new URLSearchParams()} />);
    fireEvent.click(await screen.findByRole("link", { name: /^@1: 20 rows/ }));
    expect(screen.getByTestId("where").textContent).toBe("/plugin/dataml/asset/rides?version=1");
    expect(screen.getByRole("link", { name: "with @1" }).getAttribute("href")).toContain("tab=compare&old=1&new=2");
  });

  it("of a link are found beyond the first page", async () => {
    lend({
      "assets/rides/versions": { items: versions, next: 1 },
      "assets/rides/versions?before=10&limit=1": { items: [version({ number: 9, run_id: "old run" })], next: 9 },
    });
    show(<Versions asset={asset()} chosen={9} report={null} query={new URLSearchParams()} />);
    expect(await screen.findByText("old run")).toBeTruthy();
  });
});
