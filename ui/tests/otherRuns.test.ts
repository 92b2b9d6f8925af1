import { expect, test } from "vitest";
import { inOtherRuns } from "../src/logic/otherRuns";

const run = (run_id: string, outcome: string, reason: string | null = null) =>
  ({ run_id, outcome, reason, step_name: "keep" }) as never;
const answer = {
  total: 3,
  runs: [run("a", "rejected", "dear"), run("b", "rejected", "dear"), run("c", "selected")],
  totals: { outcomes: { rejected: 2, selected: 1 }, reasons: [{ reason: "dear", step_name: "keep", n: 2 }] },
};

test("the run itself is not counted", () => {
  expect(inOtherRuns(answer, "a")).toEqual({
    total: 2,
    outcomes: { rejected: 1, selected: 1 },
    reasons: [{ reason: "dear", step_name: "keep", n: 1 }],
  });
  expect(inOtherRuns(answer, "c")).toEqual({ total: 2, outcomes: { rejected: 2 }, reasons: answer.totals.reasons });
});

test("of a run that was not sent nothing can be taken off", () => {
  expect(inOtherRuns(answer, "z")).toBeNull();
});
