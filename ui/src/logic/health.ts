import type { RunRow } from "../api/types";

export interface Health {
  /** Runs that are looked at, and of them those that failed, were abandoned, or lost events. */
  runs: number;
  unwell: RunRow[];
  lossy: number;
  /** Events that did not arrive, by cause, most first. */
  losses: [string, number][];
}

const UNWELL = new Set(["failed", "abandoned"]);
const VALUE_LOSSES = new Set(["truncated", "redacted"]); // the event is there, a value of it was changed

function lost(row: RunRow): [string, number][] {
  return Object.entries(row.losses).filter(([cause]) => !VALUE_LOSSES.has(cause));
}

/** What went wrong with runs themselves, apart from what they decided. */
export function healthOf(rows: readonly RunRow[]): Health {
  const losses = new Map<string, number>();
  for (const row of rows) for (const [cause, n] of lost(row)) losses.set(cause, (losses.get(cause) ?? 0) + n);
  const lossy = new Set(rows.filter((row) => lost(row).length > 0));
  return {
    runs: rows.length,
    unwell: rows.filter((row) => UNWELL.has(row.status) || lossy.has(row)),
    lossy: lossy.size,
    losses: [...losses].toSorted((one, other) => other[1] - one[1]),
  };
}
