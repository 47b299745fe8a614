import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import LineagePage from "../../src/pages/lineage";
import { lend, refusal, show } from "../lend";
import { graph, node } from "../lineage/graph";

const ASKED = "graph?asset=rides&by=version&direction=both&depth=3&limit=400";
const AROUND = graph(
  [
    node("rides"),
    node("raw", { depth: -1, kind: "external", downs: 1, owner: "ana" }),
    node("late", { depth: 1, kind: "model" }),
  ],
  [
    ["raw", "rides"],
    ["rides", "late"],
  ],
);
const page = (query = "") => show(<LineagePage name="rides" query={new URLSearchParams(query)} />);

beforeEach(() => {
  // As in Airflow's page, whatever the address is.
  document.head.innerHTML = '<base href="/">';
  history.replaceState(null, "", "/");
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {
        return undefined;
      }
      disconnect() {
        return undefined;
      }
    },
  );
});

describe("the graph in words", () => {
  it("has every node and edge as a row", async () => {
    lend({ [ASKED]: AROUND });
    page("list=true");
    const nodes = within(await screen.findByRole("table", { name: "Nodes" }));
    expect(nodes.getByRole("row", { name: /raw@2 1 step above external/ })).toBeTruthy();
    expect(within(screen.getByRole("table", { name: "Edges" })).getAllByRole("row")).toHaveLength(3);
    expect(screen.getByText("3 nodes, 2 edges")).toBeTruthy();
  });

  it("narrows down to what is looked for", async () => {
    lend({ [ASKED]: AROUND });
    page("list=true&q=ana");
    expect(await screen.findByText("1 found")).toBeTruthy();
    expect(within(screen.getByRole("table", { name: "Nodes" })).getAllByRole("row")).toHaveLength(2);
  });
});

describe("the picture", () => {
  it("is named, and says what is known of its start", async () => {
    lend({ [ASKED]: AROUND });
    page();
    expect(await screen.findByRole("application", { name: "Lineage graph of 3 nodes and 2 edges" })).toBeTruthy();
    expect(screen.getByRole("region", { name: "About rides@2" })).toBeTruthy();
  });

  it("keeps what is chosen in the address", async () => {
    const { asked } = lend({
      [ASKED]: AROUND,
      "graph/impact?node=version%3Arides&by=version": {
        by: "version",
        start: "version:rides",
        kinds: [{ kind: "model", assets: 1, versions: 2 }],
        models: [{ name: "late", owner: "bo", steps: 1, versions: 2, number: 2 }],
        owners: [{ owner: "bo", assets: 1 }],
        nodes: ["version:late"],
        truncated: false,
      },
    });
    page();
    fireEvent.click(await screen.findByRole("button", { name: "Impact" }));
    expect(await screen.findByText("1 model (2 versions)")).toBeTruthy();
    expect(within(screen.getByRole("list", { name: "Models it reaches" })).getByText("late")).toBeTruthy();
    expect(location.search).toBe("?impact=true");
    expect(asked.filter((one) => one === ASKED)).toHaveLength(1);
  });

  it("opens a card that the address says, and says so where it leads nowhere", async () => {
    const more = graph([node("raw"), node("older", { depth: -1 })], [["older", "raw"]]);
    lend({
      [ASKED]: AROUND,
      "graph?node=version%3Araw&direction=both&by=version&depth=1&fan=200&limit=400": more,
    });
    page("open=version:raw");
    expect(await screen.findByText("4 nodes, 3 edges")).toBeTruthy();
    expect(screen.getByRole("button", { name: "1 card opened ×" })).toBeTruthy();
  });

  it("asks the other way round where no way leads there", async () => {
    const way = (from: string, to: string) =>
      `graph/path?source_asset=${from}&target_asset=${to}&by=version&depth=20&limit=1000`;
    lend({ [way("rides", "raw")]: graph([], []), [way("raw", "rides")]: AROUND });
    page("to=raw");
    expect(await screen.findByRole("button", { name: "Ways from raw ×" })).toBeTruthy();
  });

  it("goes back in time step by step", async () => {
    const moments = ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"];
    lend({
      [ASKED]: { ...AROUND, moments },
      [`${ASKED.replace("&limit", "&at=2026-03-02T00%3A00%3A00Z&limit")}`]: { ...AROUND, moments },
    });
    page();
    fireEvent.change(await screen.findByRole("slider"), { target: { value: "1" } });
    await waitFor(() => expect(location.search).toContain("at=2026-03-02"));
    expect(await screen.findByText("2026-03-02 00:00:00 UTC")).toBeTruthy();
  });
});

describe("without a picture", () => {
  it("leads from a missing version to the asset's name", async () => {
    lend({ [ASKED]: refusal(404, "'rides' has no version yet") });
    page();
    expect(await screen.findByText("'rides' has no version yet")).toBeTruthy();
    expect(screen.getByRole("link", { name: /graph of assets/ }).getAttribute("href")).toContain("by=asset");
  });

  it("says what to do where nothing is known around it", async () => {
    lend({ [ASKED]: graph([node("rides")], []) });
    page();
    expect(await screen.findByText(/adds itself/)).toBeTruthy();
  });

  it("begins with an asset that is looked for", async () => {
    lend({ "assets?limit=25": { items: [], next: null, mended: {}, capped: false } });
    show(<LineagePage name="" query={new URLSearchParams()} />);
    expect(await screen.findByText(/The catalog is empty/)).toBeTruthy();
  });
});
