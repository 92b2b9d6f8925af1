import type { Items } from "../api/types";

type Totals = Pick<Items["totals"], "outcomes" | "reasons">;

/** How an item fared in the runs other than this one; null where this one is not among those that were sent. */
export function inOtherRuns(answer: Pick<Items, "runs" | "total"> & { totals: Totals }, runId: string) {
  const own = answer.runs.filter((one) => one.run_id === runId);
  if (own.length === 0) return null;
  const outcomes = { ...answer.totals.outcomes };
  let reasons = answer.totals.reasons;
  for (const one of own) {
    if (one.outcome !== null && outcomes[one.outcome] !== undefined)
      outcomes[one.outcome] = (outcomes[one.outcome] ?? 0) - 1;
    reasons = reasons.map((each) =>
      one.outcome === "rejected" && each.reason === one.reason && each.step_name === one.step_name
        ? { ...each, n: each.n - 1 }
        : each,
    );
  }
  return {
    total: answer.total - own.length,
    outcomes: Object.fromEntries(Object.entries(outcomes).filter(([, n]) => n > 0)),
    reasons: reasons.filter((one) => one.n > 0),
  };
}
