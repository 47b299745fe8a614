// Values as people read them.

export function utc(text: string | null | undefined): string {
  const time = text ? new Date(text) : null;
  return time && !Number.isNaN(time.getTime()) ? time.toISOString().slice(0, 19).replace("T", " ") : "-";
}

export function number(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) >= 1e4 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
}

export function words(value: unknown): string {
  if (value === null || value === undefined || value === "") return "-";
  if (typeof value === "number") return number(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

export function count(value: number, noun: string): string {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function share(value: number | null | undefined): string {
  if (!value) return "0 %";
  if (value < 0.001) return "< 0.1 %";
  return value > 0.999 && value < 1 ? "> 99.9 %" : `${Number((100 * value).toPrecision(3))} %`;
}

/** What an asset is: its kind, and what kind of that where it says more. */
export function kinds(asset: { kind: string; subtype?: string | null }): string {
  const { kind, subtype } = asset;
  return subtype && subtype !== kind ? `${kind}, ${subtype.replaceAll("_", " ")}` : kind;
}

export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return "-";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${Number((bytes / 1000 ** step).toPrecision(3))} ${units[step]}`;
}

export function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A moment of a chart's axis, in seconds since 1970; as exact as what it spans asks for. */
export function moment(seconds: number, span: number): string {
  const time = new Date(1000 * seconds);
  if (Number.isNaN(time.getTime())) return "-";
  const text = time.toISOString().replace("T", " ");
  return span >= 86400 ? text.slice(0, text.indexOf(" ")) : text.slice(0, -5);
}

const STEPS: [string, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** A length of time in its largest unit, as one says it. */
export function duration(seconds: number): string {
  const [noun, unit] = STEPS.find(([, least]) => Math.abs(seconds) >= least) ?? ["second", 1];
  return count(Math.round(Math.abs(seconds) / unit), noun);
}

/** How long ago something was. */
export function ago(text: string | null | undefined, now = Date.now()): string {
  const time = text ? new Date(text).getTime() : Number.NaN;
  if (Number.isNaN(time)) return "-";
  return now - time < 5_000 ? "just now" : `${duration((now - time) / 1000)} ago`;
}
