import type { RunRow } from "../api/types";

export interface Merged {
  rows: RunRow[];
  /** Runs that are there and do not stand in the rows, newest first. */
  arrived: RunRow[];
}

export interface Newest {
  runs: readonly RunRow[];
  /** There are older ones, which this page has no place for. */
  cut: boolean;
}

/**
 * The rows of a list that is read while runs arrive. Known rows are renewed in place. Where nothing moves under the
 * reader's eyes (`still`), those that are gone, or fit the filter no more, leave.
 */
export function mergeRuns(known: readonly RunRow[], newest: Newest | null, more: boolean, still: boolean): Merged {
  const fresh = new Map(newest?.runs.map((row) => [row.run_id, row]));
  const [first, last] = [newest?.runs[0], newest?.runs.at(-1)];
  const gone = (row: RunRow) =>
    newest !== null &&
    !fresh.has(row.run_id) &&
    (first === undefined || order(row, first) >= 0) && // else it came after the page was read
    (!newest.cut || (last !== undefined && order(row, last) <= 0));
  const seen = new Set<string>();
  const rows: RunRow[] = [];
  for (const row of known) {
    if (seen.has(row.run_id)) continue; // offsets shift while runs arrive
    seen.add(row.run_id);
    if (!still || !gone(row)) rows.push(fresh.get(row.run_id) ?? row);
  }
  const end = known.at(-1);
  // Behind the last row that was read there are others that were not: they are no news.
  const arrived = (newest?.runs ?? []).filter(
    (row) => !seen.has(row.run_id) && (!more || end === undefined || order(row, end) < 0),
  );
  return { rows, arrived };
}

/** Rows as the server orders them: newest first. A run that was delivered late has its place among the others. */
export function ordered(rows: readonly RunRow[]): RunRow[] {
  return rows.toSorted(order);
}

function order(one: RunRow, other: RunRow): number {
  // Without their `Z`: fractions of a second are written where there are any.
  const [a, b] = [one.started_at.slice(0, -1), other.started_at.slice(0, -1)];
  if (a !== b) return a < b ? 1 : -1;
  return one.run_id < other.run_id ? 1 : one.run_id > other.run_id ? -1 : 0;
}
