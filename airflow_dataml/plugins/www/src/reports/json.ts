// Free JSON of report bodies, looked at before it is used: what is not there is nothing.

import type { Interval } from "../model/forest";

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

export const objects = (value: unknown): Json[] => list(value).filter(isObject);

export const finite = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

export const text = (value: unknown): string | null => (typeof value === "string" && value ? value : null);

export const texts = (value: unknown): string[] => list(value).filter((one) => typeof one === "string");

/** An estimate with its interval; ``null`` without the estimate. */
export function intervalOf(value: unknown): Interval | null {
  const estimate = isObject(value) ? finite(value.estimate) : null;
  if (estimate === null || !isObject(value)) return null;
  return { estimate, low: finite(value.low), high: finite(value.high) };
}
