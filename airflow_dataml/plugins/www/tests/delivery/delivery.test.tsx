import { fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import DeliveryPage from "../../src/pages/delivery";
import { lend, refusal, show } from "../lend";

const NOW = "2026-03-01T12:00:00Z";
const REST = { waiting: 0, oldest_waiting: null, lag_s: null, newest_event: null };
const SPOOL = { folder: "/spool", waiting: 0, refused: 0, ledger_missed: false };
const BACKEND = {
  name: "marquez",
  kind: "http",
  target: "example.org",
  state: "active",
  failures: 3,
  retry_at: NOW,
  last_error: "503 from example.org",
  last_delivered_at: null,
  pending: 12,
  oldest_pending: NOW,
  lag_s: 7200,
  dead: 1,
};
const BAR = { since: NOW, until: NOW, events: 10, delivered: 6, pending: 3, dead: 1, took_s: 4 };
const LETTER = {
  backend: "marquez",
  event_id: 7,
  attempts: 9,
  last_error: "400: no such namespace",
  event_type: "START",
  event_time: NOW,
  ordering_key: "run",
  job_namespace: "ns",
  job_name: "load",
};

function answers(backends: unknown[] = [BACKEND]) {
  return {
    delivery: { backends, unprojected: 0, refused: 0, unfanned: 0 },
    "delivery/pulse": {
      projection: REST,
      spool: SPOOL,
      backends: backends.length ? [{ name: "marquez", bars: [BAR] }] : [],
    },
    "delivery/marquez/dead": { items: [LETTER], next: null },
    "delivery/marquez/replay": { replayed: 1 },
  };
}

const page = (query = "") => show(<DeliveryPage name="" query={new URLSearchParams(query)} />);

describe("delivery", () => {
  it("says how to configure a backend where there is none", async () => {
    lend(answers([]));
    page();
    expect(await screen.findByText(/lineage_backends/)).toBeTruthy();
    expect(screen.getByText("airflow dataml drain")).toBeTruthy();
  });

  it("says how far behind a backend is and why", async () => {
    lend(answers());
    page();
    const row = within(await screen.findByRole("row", { name: /marquez/ }));
    expect(row.getByText("2 hours")).toBeTruthy();
    expect(row.getByText("503 from example.org")).toBeTruthy();
    expect(row.getByRole("img").getAttribute("aria-label")).toContain("6 delivered, 3 pending, 1 dead");
  });

  it("sends a dead letter again only after it was confirmed", async () => {
    const { sent } = lend(answers());
    page("backend=marquez");
    fireEvent.click(await screen.findByRole("button", { name: "Send event 7 again" }));
    expect(sent).toEqual([]);
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Send again" }));
    expect(await screen.findByText("1 event will be sent to marquez again.")).toBeTruthy();
    expect(sent).toEqual([{ address: "delivery/marquez/replay", body: { event_id: 7 } }]);
  });

  it("says who may not", async () => {
    lend({ ...answers(), "delivery/marquez/replay": refusal(403, "no") });
    page("backend=marquez");
    fireEvent.click(await screen.findByRole("button", { name: "Send all again" }));
    fireEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Send again" }));
    expect(await screen.findByText(/You may not do this here/)).toBeTruthy();
  });

  it("says why there is no answer", async () => {
    lend({ ...answers(), delivery: refusal(503, "The DataML ledger does not answer.") });
    page();
    expect(await screen.findByText("The DataML ledger does not answer.")).toBeTruthy();
  });
});
