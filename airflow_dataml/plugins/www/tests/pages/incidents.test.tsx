import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import Incidents from "../../src/pages/incidents";
import { incident } from "../facts";
import { lend, refusal, show } from "../lend";

describe("incidents", () => {
  it("are listed, more of them on demand", async () => {
    const { asked } = lend({
      "incidents?state=open": { items: [incident()], next: 7 },
      "incidents?state=open&before=7": { items: [incident({ incident_id: 6, title: "older" })], next: null },
    });
    show(<Incidents name="" query={new URLSearchParams()} />);
    expect(await screen.findByText("batch 2 broke its contract")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Show older" }));
    expect(await screen.findByText("older")).toBeTruthy();
    expect(screen.getByText("batch 2 broke its contract")).toBeTruthy();
    expect(asked).toHaveLength(2);
  });

  it("say when there is none, and when they cannot be read", async () => {
    lend({ "incidents?state=open": { items: [], next: null } });
    const { unmount } = show(<Incidents name="" query={new URLSearchParams()} />);
    expect(await screen.findByText(/No incident is open/)).toBeTruthy();
    unmount();
    lend({ "incidents?state=open": refusal(503, "The ledger does not answer.") });
    show(<Incidents name="" query={new URLSearchParams()} />);
    expect((await screen.findByRole("alert")).textContent).toBe("The ledger does not answer.");
  });

  it("have what is shown in their address", async () => {
    lend({ "incidents?state=open": { items: [], next: null } });
    show(<Incidents name="" query={new URLSearchParams()} />);
    fireEvent.change(await screen.findByRole("combobox", { name: "State" }), { target: { value: "all" } });
    expect(screen.getByTestId("where").textContent).toBe("/plugin/dataml/incidents?state=all");
  });

  it("are narrowed down by what their address says, and by nothing it does not mean", async () => {
    const { asked } = lend({ "incidents?severity=high&asset=rides&state=open": { items: [], next: null } });
    show(<Incidents name="" query={new URLSearchParams("severity=high&asset=rides&kind=weather")} />);
    expect(await screen.findByText("No incident is like that.")).toBeTruthy();
    expect(asked).toHaveLength(1);
  });
});
