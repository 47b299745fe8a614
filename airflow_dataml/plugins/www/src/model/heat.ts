// Windows of a model as a heat map: a row for each test of each column, a cell for each window; pure.

import type { Shift, WindowRow } from "../api/types";
import { number, share, utc } from "../ui/words";

export interface HeatRow {
  id: string;
  name: string;
  /** The largest PSI any window has, by which rows are ordered. */
  most: number;
  cells: Map<number, Shift>;
}

const TESTS: Record<string, string> = { values: "", missing: " · missing" };

function rows(windows: WindowRow[], of: (window: WindowRow) => Shift[]): HeatRow[] {
  const found = new Map<string, HeatRow>();
  for (const window of windows) {
    for (const shift of of(window)) {
      const id = `${shift.column} ${shift.test}`;
      const name = shift.column + (TESTS[shift.test] ?? ` · ${shift.test}`);
      const row = found.get(id) ?? { id, name, most: 0, cells: new Map<number, Shift>() };
      row.cells.set(window.report_id, shift);
      row.most = Math.max(row.most, shift.psi ?? 0);
      found.set(id, row);
    }
  }
  return [...found.values()].sort((a, b) => b.most - a.most || a.name.localeCompare(b.name));
}

/** What moved most comes first. */
export function inputsOf(windows: WindowRow[]): HeatRow[] {
  return rows(windows, (window) => window.inputs);
}

export function predictionsOf(windows: WindowRow[]): HeatRow[] {
  return rows(windows, (window) => window.prediction);
}

/** How dark a cell is: nothing at a PSI of zero, all at thrice what is borne. */
export function heat(psi: number | null, tolerance: number | null): number {
  if (psi === null || psi <= 0) return 0;
  return Math.min(Math.sqrt(psi / (3 * (tolerance || 0.1))), 1);
}

export function windowName(window: WindowRow): string {
  return window.partition_key ?? `report ${window.report_id}`;
}

export function shiftWords(row: HeatRow, window: WindowRow): string {
  const shift = row.cells.get(window.report_id);
  const where = `batch ${windowName(window)}, ${utc(window.created_at)} UTC`;
  if (!shift) return `${row.name}: not tested in ${where}`;
  const found = shift.drifted ? "moved" : "did not surely move";
  const tolerance = window.tolerance === null ? "" : `, borne ${number(window.tolerance)}`;
  const chance = shift.p_value === null ? "" : `, p ${shift.p_value < 0.001 ? "< 0.001" : number(shift.p_value)}`;
  return `${row.name} ${found}: PSI ${number(shift.psi)}${tolerance}${chance}\n${where}`;
}

/** Growth of the loss over its value at release, as one says it. */
export function growth(window: Pick<WindowRow, "now" | "released">): string | null {
  const { now, released } = window;
  if (!now || !released) return null;
  const change = now.estimate / released - 1;
  return `${change < 0 ? "−" : "+"}${share(Math.abs(change))}`;
}

/** Whether the model did surely worse than is borne. */
export function decayed(window: Pick<WindowRow, "now" | "limit">): boolean {
  const { now, limit } = window;
  const low = now?.low ?? null;
  return low !== null && limit !== null && low > limit;
}
