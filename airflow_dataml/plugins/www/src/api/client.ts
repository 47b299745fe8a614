// One request to the API: typed by the path, refused in words.

import type { paths } from "./schema";

type Method = "get" | "post";
type Known<M extends Method> = { [P in keyof paths]: paths[P] extends { [K in M]: object } ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends { [K in M]: infer O } ? O : never;
type Content<T> = T extends { content: { "application/json": infer Body } } ? Body : never;
type Answered<O> = O extends { responses: { 200: infer Found } } ? Content<Found> : never;
type InPath<O> = O extends { parameters: { path: infer Path } } ? Path : unknown;
type InQuery<O> = O extends { parameters: { query?: infer Query } }
  ? [Query] extends [undefined]
    ? unknown
    : Partial<NonNullable<Query>>
  : unknown;
type Asked<O> = InPath<O> & InQuery<O>;
type Sent<O> = O extends { requestBody: infer Body } ? Content<Body> : undefined;

declare const answers: unique symbol;
/** Where an answer of this type is; a plain string, so that equal addresses are equal. */
export type Address<Answer> = string & { readonly [answers]?: Answer };

/** What kept an answer from coming; ``status`` is 0 where no server answered. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

function filled(path: string, values: Record<string, unknown> = {}): string {
  const placed = new Set<string>();
  const place = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    placed.add(name);
    return encodeURIComponent(String(values[name]));
  });
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (placed.has(name)) continue;
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, String(one));
    }
  }
  const text = query.toString();
  return place.slice(1) + (text ? `?${text}` : "");
}

/** The address of an answer: values of the path and of the query together, empty ones left out. */
export function at<P extends Known<"get">>(
  path: P,
  values?: Asked<Operation<P, "get">>,
): Address<Answered<Operation<P, "get">>> {
  return filled(path, values as Record<string, unknown> | undefined);
}

/** The same address with one more value in its query. */
export function further<Answer>(address: Address<Answer>, name: string, value: string | number): Address<Answer> {
  return `${address}${address.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(value)}`;
}

async function words(response: Response): Promise<string> {
  if (response.status === 401) return "Your session has ended. Reload the page to sign in again.";
  const body: unknown = await response.json().catch(() => null);
  const detail = body && typeof body === "object" && "detail" in body ? body.detail : null;
  if (response.status === 403) return "You may not do this here. Ask an administrator.";
  return typeof detail === "string" ? detail : `The server answered ${response.status}.`;
}

async function request(address: string, init: RequestInit): Promise<unknown> {
  const headers = { Accept: "application/json", ...init.headers };
  let response: Response;
  try {
    response = await fetch(new URL(`dataml/${address}`, document.baseURI), {
      credentials: "same-origin",
      ...init,
      headers,
    });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("The server did not answer. Check the network, then reload.", 0);
  }
  if (!response.ok) throw new ApiError(await words(response), response.status);
  return response.json();
}

export async function get<Answer>(address: Address<Answer>, signal?: AbortSignal): Promise<Answer> {
  return (await request(address, { signal: signal ?? null })) as Answer;
}

/** Ask for a change; JSON alone, which no form of another site can send. */
export async function send<P extends Known<"post">>(
  path: P,
  values: Asked<Operation<P, "post">>,
  body: Sent<Operation<P, "post">>,
): Promise<Answered<Operation<P, "post">>> {
  const init = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return (await request(filled(path, values as Record<string, unknown> | undefined), init)) as Answered<
    Operation<P, "post">
  >;
}
