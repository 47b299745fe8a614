// A page as Airflow shows it, on answers that a test lends instead of a server.

import { render } from "@testing-library/react";
import { Suspense, type ReactNode } from "react";
import { MemoryRouter, useLocation } from "react-router-dom";
import { vi } from "vitest";

interface Refusal {
  status: number;
  detail: string;
}

/** Answers by address, without what stands before "dataml/"; a function is asked each time. */
export type Lent = Record<string, unknown>;

export function refusal(status: number, detail: string): Refusal {
  return { status, detail };
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "status" in value && "detail" in value;
}

/** Returns the requests that were made, in order. */
export function lend(answers: Lent): { asked: string[]; sent: { address: string; body: unknown }[] } {
  const asked: string[] = [];
  const sent: { address: string; body: unknown }[] = [];
  vi.stubGlobal("fetch", (url: URL, init: RequestInit = {}) => {
    const address = `${url.pathname}${url.search}`.split("/dataml/")[1] ?? "";
    if (init.method === "POST") sent.push({ address, body: JSON.parse(String(init.body)) });
    else asked.push(address);
    const found = answers[address];
    const answer: unknown = typeof found === "function" ? found() : found;
    if (answer === undefined)
      return Promise.resolve(Response.json({ detail: `nothing lent at ${address}` }, { status: 404 }));
    if (isRefusal(answer)) return Promise.resolve(Response.json({ detail: answer.detail }, { status: answer.status }));
    return Promise.resolve(Response.json(answer));
  });
  return { asked, sent };
}

function Where() {
  const { pathname, search } = useLocation();
  return <output data-testid="where">{`${pathname}${search}`}</output>;
}

/** Render what a router needs around it; the address is the test id "where". */
export function show(node: ReactNode, at = "/plugin/dataml") {
  return render(
    <MemoryRouter initialEntries={[at]}>
      <Suspense fallback="waiting">{node}</Suspense>
      <Where />
    </MemoryRouter>,
  );
}
