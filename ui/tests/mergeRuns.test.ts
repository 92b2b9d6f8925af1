import { describe, expect, it } from "vitest";
import type { RunRow } from "../src/api/types";
import { mergeRuns, ordered } from "../src/logic/mergeRuns";

function run(id: number, status = "completed"): RunRow {
  return { run_id: `r${id}`, status, started_at: `2026-11-23T15:${String(id).padStart(2, "0")}:00Z` } as RunRow;
}
const at = (id: string, started_at: string) => ({ run_id: id, started_at }) as RunRow;
const ids = (rows: readonly RunRow[]) => rows.map((row) => row.run_id);
const page = (runs: RunRow[], cut = false) => ({ runs, cut });

describe("runs that arrive while one reads", () => {
  it("wait beside the rows", () => {
    const merged = mergeRuns([run(2), run(1)], page([run(4), run(3), run(2)], true), false, false);
    expect(ids(merged.rows)).toEqual(["r2", "r1"]);
    expect(ids(merged.arrived)).toEqual(["r4", "r3"]);
  });

  it("are renewed in place", () => {
    const merged = mergeRuns([run(2, "running"), run(1)], page([run(2, "completed")], true), false, false);
    expect(merged.rows[0]?.status).toBe("completed");
    expect(merged.arrived).toEqual([]);
  });

  it("stand once, though pages overlap when rows arrive between them", () => {
    expect(ids(mergeRuns([run(3), run(2), run(2), run(1)], null, false, true).rows)).toEqual(["r3", "r2", "r1"]);
  });

  it("are news too where they started earlier and were delivered late", () => {
    const merged = mergeRuns([run(5), run(1)], page([run(5), run(3), run(1)]), false, false);
    expect(ids(merged.arrived)).toEqual(["r3"]);
    expect(ids(ordered([...merged.arrived, ...merged.rows]))).toEqual(["r5", "r3", "r1"]);
  });

  it("are no news behind the last row, where more rows can be read", () => {
    const newest = page([run(5), run(4), run(1)], true);
    expect(mergeRuns([run(5), run(4)], newest, true, false).arrived).toEqual([]);
    expect(ids(mergeRuns([run(5), run(4)], newest, false, false).arrived)).toEqual(["r1"]);
  });
});

describe("runs that fit no more, or are deleted", () => {
  it("stay while one looks, and leave when nothing moves by it", () => {
    const known = [run(4), run(3), run(2)];
    const newest = page([run(4), run(2)]);
    expect(ids(mergeRuns(known, newest, false, false).rows)).toEqual(["r4", "r3", "r2"]);
    expect(ids(mergeRuns(known, newest, false, true).rows)).toEqual(["r4", "r2"]);
    expect(ids(mergeRuns(known, page([]), false, true).rows)).toEqual([]);
  });

  it("are not known of beyond the newest page", () => {
    const newest = page([run(4), run(3)], true);
    expect(ids(mergeRuns([run(5), run(4), run(2)], newest, true, true).rows)).toEqual(["r5", "r4", "r2"]);
  });
});

it("orders by time, with and without fractions of a second", () => {
  const rows = [at("a", "2026-11-23T15:00:00Z"), at("b", "2026-11-23T15:00:00.5Z"), at("c", "2026-11-23T15:00:00Z")];
  expect(ids(ordered(rows))).toEqual(["b", "c", "a"]);
});
