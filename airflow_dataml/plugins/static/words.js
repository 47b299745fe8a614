// Values as people read them, and the addresses of this page.

import { ROOT } from "./host.js";

export function utc(text) {
  const time = text ? new Date(text) : null;
  return time && !Number.isNaN(time.getTime()) ? time.toISOString().slice(0, 19).replace("T", " ") : "-";
}

export function number(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) >= 1e4 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
}

export function words(value) {
  if (value === null || value === undefined || value === "") return "-";
  if (typeof value === "number") return number(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function share(value) {
  if (!value) return "0 %";
  return value < 0.001 ? "< 0.1 %" : value > 0.999 && value < 1 ? "> 99.9 %" : `${Number((100 * value).toPrecision(3))} %`;
}

export function size(bytes) {
  if (bytes === null || bytes === undefined) return "-";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${Number((bytes / 1000 ** step).toPrecision(3))} ${units[step]}`;
}

export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// A moment of a chart's axis, in seconds since 1970; as exact as what it spans asks for.
export function moment(seconds, span) {
  const time = new Date(1000 * seconds);
  if (Number.isNaN(time.getTime())) return "-";
  const text = time.toISOString().replace("T", " ");
  return span >= 86400 ? text.slice(0, text.indexOf(" ")) : text.slice(0, -5);
}

export function encoded(name) {
  return encodeURIComponent(name);
}

export function assetPath(name, query) {
  const found = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(found).toString();
  return `${ROOT}/asset/${encoded(name)}${text ? `?${text}` : ""}`;
}

export function labelPath(label) {
  const at = label.lastIndexOf("@");
  return at < 0 ? assetPath(label) : assetPath(label.slice(0, at), { version: label.slice(at + 1) });
}

// Airflow's own page of the task that wrote something; what was not written by a task has none.
export function taskPath(run) {
  if (!run.dag_id || run.dag_id === "dataml-cli") return null;
  const mapped = run.map_index >= 0 ? `/mapped/${run.map_index}` : "";
  return `/dags/${encoded(run.dag_id)}/runs/${encoded(run.run_id)}/tasks/${encoded(run.task_id)}${mapped}`;
}
