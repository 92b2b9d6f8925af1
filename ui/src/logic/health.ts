import type { RunRow } from "../api/types";

export interface Health {
  /** Runs that are looked at, and of them those that failed, were abandoned, or lost something. */
  runs: number;
  unwell: RunRow[];
  lossy: number;
  /** What did not arrive, by cause, most first. */
  losses: [string, number][];
}

const UNWELL = new Set(["failed", "abandoned"]);

/** What went wrong with runs themselves, apart from what they decided. */
export function healthOf(rows: readonly RunRow[]): Health {
  const losses = new Map<string, number>();
  for (const row of rows)
    for (const [cause, n] of Object.entries(row.losses)) losses.set(cause, (losses.get(cause) ?? 0) + n);
  return {
    runs: rows.length,
    unwell: rows.filter((row) => UNWELL.has(row.status) || Object.keys(row.losses).length > 0),
    lossy: rows.filter((row) => Object.keys(row.losses).length > 0).length,
    losses: [...losses].toSorted((one, other) => other[1] - one[1]),
  };
}
