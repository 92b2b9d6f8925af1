import type { RunRow } from "../api/types";

export interface Merged {
  rows: RunRow[];
  /** How many newer runs wait above, because the reader is looking at something. */
  waiting: number;
}

/**
 * The rows of a list that is read while runs arrive. Known rows are renewed in place; new ones are put on top only
 * where that moves nothing under the reader's eyes.
 */
export function mergeRuns(known: readonly RunRow[], newest: readonly RunRow[], atTop: boolean): Merged {
  const fresh = new Map(newest.map((row) => [row.run_id, row]));
  const seen = new Set<string>();
  const rows: RunRow[] = [];
  for (const row of known) {
    if (seen.has(row.run_id)) continue; // offsets shift while runs arrive
    seen.add(row.run_id);
    rows.push(fresh.get(row.run_id) ?? row);
  }
  const arrived = newest.filter((row) => !seen.has(row.run_id));
  const top = known[0]?.started_at ?? "";
  const newer = arrived.filter((row) => row.started_at >= top);
  return atTop ? { rows: [...newer, ...rows], waiting: 0 } : { rows, waiting: newer.length };
}
