import { act, fireEvent, screen, within } from "@testing-library/react";
import { useLocation } from "react-router-dom";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import Catalog from "../../src/pages/catalog";
import { row } from "../facts";
import { lend, refusal, show } from "../lend";

const NONE = { items: [], next: null, mended: {}, capped: false };
const found = (...items: unknown[]) => ({ ...NONE, items });

function Shown() {
  return <Catalog name="" query={new URLSearchParams(useLocation().search)} />;
}

describe("the catalog", () => {
  it("shows what needs somebody before all else", async () => {
    lend({
      "assets?failing=true&limit=10": found(row({ name: "broken", verdict: "fail" })),
      "assets?stale=true&limit=10": found(row({ name: "late", stale: true, freshness_s: 86_400 })),
      "assets?limit=50": found(row({ name: "broken" }), row({ name: "late" }), row()),
    });
    show(<Shown />);
    const table = await screen.findByRole("table", { name: "Later than promised" });
    expect(within(table).getByText("promised every 1 day")).toBeTruthy();
    const headings = screen.getAllByRole("heading").map((heading) => heading.textContent);
    expect(headings).toEqual(["Failing contracts", "Later than promised", "All assets"]);
  });

  it("narrows down to what is clicked, in its address", async () => {
    const { asked } = lend({
      "assets?failing=true&limit=10": NONE,
      "assets?stale=true&limit=10": NONE,
      "assets?limit=50": found(row()),
      "assets?owner=ana&limit=50": found(row()),
      "assets?owner=ana&kind=dataset&limit=50": found(row()),
    });
    show(<Shown />);
    fireEvent.click(await screen.findByRole("button", { name: "Only owner ana" }));
    fireEvent.click(await screen.findByRole("button", { name: "dataset" }));
    expect(screen.getByTestId("where").textContent).toBe("/plugin/dataml?owner=ana&kind=dataset");
    fireEvent.click(screen.getByRole("button", { name: "Take away owner ana" }));
    expect(screen.getByTestId("where").textContent).toBe("/plugin/dataml?kind=dataset");
    expect(asked).toContain("assets?owner=ana&kind=dataset&limit=50");
  });

  it("says why nothing is there", async () => {
    lend({ "assets?q=x&limit=50": NONE });
    const { unmount } = show(<Shown />, "/plugin/dataml?q=x");
    expect(await screen.findByText(/Nothing matches/)).toBeTruthy();
    unmount();
    lend({ "assets?q=x&limit=50": refusal(503, "The DataML ledger is not configured") });
    show(<Shown />, "/plugin/dataml?q=x");
    expect((await screen.findByRole("alert")).textContent).toBe("The DataML ledger is not configured");
  });

  it("goes on where the page ended", async () => {
    const next = '["rides"]';
    lend({
      "assets?kind=model&limit=50": { ...found(row({ name: "first" })), next },
      [`assets?kind=model&limit=50&after=${encodeURIComponent(next)}`]: found(row({ name: "second" })),
    });
    show(<Shown />, "/plugin/dataml?kind=model");
    fireEvent.click(await screen.findByRole("button", { name: "Show more" }));
    expect(await screen.findByText("second")).toBeTruthy();
    expect(screen.getByText("2 assets")).toBeTruthy();
  });
});

describe("searching as one types", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks once when the typing pauses", async () => {
    const { asked } = lend({
      "assets?failing=true&limit=10": NONE,
      "assets?stale=true&limit=10": NONE,
      "assets?limit=50": NONE,
      "assets?q=ride&limit=50": { ...found(row()), mended: { ride: ["rides"] } },
    });
    show(<Shown />);
    const field = screen.getByRole("searchbox", { name: "Search the catalog" });
    for (const value of ["r", "ri", "rid", "ride"]) {
      fireEvent.change(field, { target: { value } });
      await act(() => vi.advanceTimersByTimeAsync(50));
    }
    await act(() => vi.advanceTimersByTimeAsync(400));
    expect(asked.filter((address) => address.includes("q="))).toEqual(["assets?q=ride&limit=50"]);
    expect(screen.getByText('1 asset for "ride"')).toBeTruthy();
    expect(screen.getByText(/Nothing is called "ride"; looked for rides instead/)).toBeTruthy();
  });

  it("is reached with a slash", () => {
    lend({});
    show(<Shown />);
    fireEvent.keyDown(document.body, { key: "/" });
    expect(document.activeElement).toBe(screen.getByRole("searchbox"));
  });
});
