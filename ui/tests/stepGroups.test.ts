import { describe, expect, test } from "vitest";
import { healthOf } from "../src/logic/health";
import { runsBehind, wordsOf } from "../src/logic/runsBehind";
import { ratesOverTime, stepGroups, type StepSeen } from "../src/logic/stepGroups";

function seen(more: Partial<StepSeen>): StepSeen {
  const step = { run_id: "r1", pipeline: "p", step_id: "s", step_name: "keep", step_type: "filter", position: 0 };
  const counts = { input_count: 10, output_count: 4, rejection_rate: 0.6, rejection_counts: { dear: 6 } };
  const times = { run_started_at: "2026-11-23T10:00:00Z", started_at: null, ended_at: null, duration_ms: 5 };
  const rest = { attempt: 1, name: "keep", unaccounted: 0, error: null, run_status: "completed" };
  return { ...step, ...counts, ...times, ...rest, environment: null, code_version: null, ...more } as StepSeen;
}

const at = (minute: number, rate: number | null) =>
  seen({ run_started_at: `2026-11-23T10:${String(minute).padStart(2, "0")}:00Z`, rejection_rate: rate });

const row = (status: string, losses: Record<string, number>) => ({ run_id: status, status, losses }) as never;

describe("steps of many runs", () => {
  test("are put together by pipeline and name, those that reject most first", () => {
    const groups = stepGroups([
      seen({ run_id: "r1", rejection_rate: 0.2, rejection_counts: { dear: 1, late: 1 } }),
      seen({ run_id: "r2", rejection_rate: 0.6, duration_ms: 50 }),
      seen({ run_id: "r2", pipeline: "other", rejection_rate: 0.9 }),
      seen({ run_id: "r2", step_name: "make", rejection_rate: null, rejection_counts: {}, input_count: null }),
    ]);
    expect(groups.map((one) => [one.pipeline, one.name, one.runs, one.rate])).toEqual([
      ["other", "keep", 1, 0.9],
      ["p", "keep", 2, 0.4],
      ["p", "make", 1, null],
    ]);
    expect(groups[1]?.reasons).toEqual([
      ["dear", 7],
      ["late", 1],
    ]);
    expect(groups[1]).toMatchObject({ came: 20, left: 8, highest: 0.6, durationMs: 50 });
    expect(groups[2]).toMatchObject({ came: null, left: null, overTime: [] });
  });

  test("have a rate over time: means of equal parts, the oldest first", () => {
    const points = ratesOverTime([at(50, 0.9), at(49, 0.7), at(20, null), at(0, 0.1)], 2);
    expect(points.map((one) => [Math.round(one.rate * 10) / 10, one.steps])).toEqual([
      [0.1, 1],
      [0.8, 2],
    ]);
    expect(ratesOverTime([at(0, 0.5)])).toHaveLength(1);
  });
});

describe("the runs behind a step", () => {
  test("are those of its pipeline that had it as the filter says", () => {
    expect(wordsOf('a:"b c" d:e')).toEqual(['a:"b c"', "d:e"]);
    expect(runsBehind("step_type:filter rejection_rate:>0.9 pipeline:x since:7d", "my shop", "keep")).toBe(
      'pipeline:"my shop" step_name:keep step_type:filter rejection_rate:>0.9 since:7d',
    );
    expect(runsBehind("name:keep", "p", "keep")).toBe("pipeline:p step_name:keep");
  });

  test("cannot be asked for where only a step has it, or has it not", () => {
    for (const q of ["attempt:>1", "-step_type:filter", "input.a:1", "word", "view:strict", "-rejection_rate:>0.5"])
      expect(runsBehind(q, "p", "keep")).toBeNull();
    expect(runsBehind("-environment:test", "p", "keep")).toBe("pipeline:p step_name:keep -environment:test");
  });
});

test("the health of runs adds up what did not arrive, by cause", () => {
  const health = healthOf([
    row("completed", {}),
    row("failed", {}),
    row("abandoned", { spool_full: 3, dropped: 9 }),
    row("completed", { spool_full: 1, truncated: 70, redacted: 5 }),
    row("completed", { truncated: 3 }), // all its events are there
  ]);
  expect(health.losses).toEqual([
    ["dropped", 9],
    ["spool_full", 4],
  ]);
  expect([health.runs, health.unwell.length, health.lossy]).toEqual([5, 3, 2]);
});
