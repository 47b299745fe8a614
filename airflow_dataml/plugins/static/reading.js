// Answers of the API: one at a time, all of a list, or page after page.

import { useEffect, useState } from "./host.js";

const MAX_PAGES = 20;

async function get(path, signal) {
  const response = await fetch(new URL(`dataml/${path}`, document.baseURI), {
    credentials: "same-origin",
    headers: { Accept: "application/json" },
    signal,
  });
  if (response.ok) return response.json();
  if (response.status === 401) throw new Error("Your session has ended. Reload the page to sign in again.");
  if (response.status === 403) throw new Error("You may not read assets here. Ask an administrator.");
  const body = await response.json().catch(() => ({}));
  const detail = typeof body.detail === "string" ? body.detail : `The server answered ${response.status}.`;
  throw new Error(detail);
}

function joint(path) {
  return path.includes("?") ? "&" : "?";
}

export async function getAll(path, signal) {
  const items = [];
  let after = "";
  for (let page = 0; page < MAX_PAGES && after !== null; page += 1) {
    const answer = await get(`${path}${joint(path)}limit=200&after=${encodeURIComponent(after)}`, signal);
    items.push(...answer.items);
    after = answer.next;
  }
  return items;
}

export function useAnswer(path, read = get) {
  const [state, setState] = useState({ loading: true });
  useEffect(() => {
    if (!path) return undefined;
    const controller = new AbortController();
    setState({ loading: true });
    read(path, controller.signal).then(
      (data) => setState({ data }),
      (error) => controller.signal.aborted || setState({ error }),
    );
    return () => controller.abort();
  }, [path]);
  return state;
}

// Pages newest first, more on demand.
export function usePages(path, first = "") {
  const [pages, setPages] = useState({ items: [], next: null, loading: true });
  const load = (before, signal) => {
    get(before ? `${path}${joint(path)}before=${before}` : `${path}${first}`, signal).then(
      (page) => setPages((old) => ({ ...(before ? old : {}), ...page, items: [...(before ? old.items : []), ...page.items] })),
      (error) => signal && signal.aborted || setPages((old) => ({ ...old, loading: false, error })),
    );
  };
  useEffect(() => {
    const controller = new AbortController();
    setPages({ items: [], next: null, loading: true });
    load(null, controller.signal);
    return () => controller.abort();
  }, [path]);
  return { ...pages, more: pages.next ? () => load(pages.next) : null };
}
