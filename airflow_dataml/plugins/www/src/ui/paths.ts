// The addresses of this page: everything that can be looked at has one.

export const ROOT = "/plugin/dataml";

export type Query = Record<string, string | number | boolean | null | undefined>;

export function path(place: string, query: Query = {}): string {
  const known = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "" && value !== false,
  );
  const text = new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString();
  return `${ROOT}${place ? `/${place}` : ""}${text ? `?${text}` : ""}`;
}

export function assetPath(name: string, query: Query = {}): string {
  return path(`asset/${encodeURIComponent(name)}`, query);
}

/** Where ``name@17`` is looked at. */
export function labelPath(label: string): string {
  const at = label.lastIndexOf("@");
  return at < 0 ? assetPath(label) : assetPath(label.slice(0, at), { version: label.slice(at + 1) });
}

export interface TaskOfRun {
  dag_id: string;
  run_id: string;
  task_id: string;
  map_index: number;
}

/** Airflow's own page of the task that wrote something; what was not written by a task has none. */
export function taskPath(run: TaskOfRun): string | null {
  if (!run.dag_id || run.dag_id === "dataml-cli") return null;
  const mapped = run.map_index >= 0 ? `/mapped/${run.map_index}` : "";
  const [dag, id, task] = [run.dag_id, run.run_id, run.task_id].map(encodeURIComponent);
  return `/dags/${dag}/runs/${id}/tasks/${task}${mapped}`;
}
