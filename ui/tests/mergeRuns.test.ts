import { describe, expect, it } from "vitest";
import type { RunRow } from "../src/api/types";
import { mergeRuns } from "../src/logic/mergeRuns";

function run(id: number, status = "completed"): RunRow {
  return { run_id: `r${id}`, status, started_at: `2026-11-23T15:${String(id).padStart(2, "0")}:00Z` } as RunRow;
}
const ids = (rows: RunRow[]) => rows.map((row) => row.run_id);

describe("runs that arrive while one reads", () => {
  it("stand on top where nothing is looked at", () => {
    expect(ids(mergeRuns([run(2), run(1)], [run(3), run(2), run(1)], true).rows)).toEqual(["r3", "r2", "r1"]);
  });

  it("wait, counted, where a row would jump", () => {
    const merged = mergeRuns([run(2), run(1)], [run(4), run(3), run(2)], false);
    expect(ids(merged.rows)).toEqual(["r2", "r1"]);
    expect(merged.waiting).toBe(2);
  });

  it("are renewed in place", () => {
    const merged = mergeRuns([run(2, "running"), run(1)], [run(2, "completed")], false);
    expect(merged.rows[0]?.status).toBe("completed");
    expect(merged.waiting).toBe(0);
  });

  it("stand once, though pages overlap when rows arrive between them", () => {
    expect(ids(mergeRuns([run(3), run(2), run(2), run(1)], [], false).rows)).toEqual(["r3", "r2", "r1"]);
  });
});
