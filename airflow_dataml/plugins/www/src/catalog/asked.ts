// What is asked of the catalog, as it stands in the address.

export const WORDS = ["owner", "tag", "term", "domain", "group", "producer", "subtype", "importance"] as const;
export const FLAGS = ["failing", "stale"] as const;
export const KINDS = ["dataset", "model", "prediction", "external"] as const;

export type Kind = (typeof KINDS)[number];
export type Word = (typeof WORDS)[number];
export type Flag = (typeof FLAGS)[number];
export type Asked = { q: string; kind: Kind | null } & Record<Word, string | null> & Record<Flag, boolean>;
/** Changes what is asked; the address changes with it. */
export type Narrow = (change: Partial<Asked>) => void;

const isKind = (text: string | null): text is Kind => KINDS.some((kind) => kind === text);

export function asked(query: URLSearchParams): Asked {
  const kind = query.get("kind");
  const words = Object.fromEntries(WORDS.map((name) => [name, query.get(name)])) as Record<Word, string | null>;
  const flags = Object.fromEntries(FLAGS.map((name) => [name, query.get(name) === "true"])) as Record<Flag, boolean>;
  return { q: query.get("q") ?? "", kind: isKind(kind) ? kind : null, ...words, ...flags };
}

/** What is asked as values of an address; what is not asked is left out. */
export function valuesOf(now: Asked) {
  const { kind, failing, stale, ...words } = now;
  return { ...words, kind: kind ? [kind] : null, failing: failing || null, stale: stale || null } as {
    [name in Word | "q"]?: string;
  } & { kind?: Kind[]; failing?: true; stale?: true };
}

export function isNarrowed(now: Asked): boolean {
  return Object.values(now).some(Boolean);
}
