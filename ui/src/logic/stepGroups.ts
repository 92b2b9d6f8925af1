import type { components } from "../api/types.gen";

export type StepSeen = components["schemas"]["StepAcrossRuns"];

export interface RatePoint {
  at: number;
  rate: number;
  steps: number;
}

/** One step of a pipeline, over the runs that had it. */
export interface StepGroup {
  pipeline: string;
  name: string;
  type: string | null;
  /** Newest first. */
  seen: StepSeen[];
  runs: number;
  /** Sums over where both are known. */
  came: number | null;
  left: number | null;
  /** Means and most over where a rate is known. */
  rate: number | null;
  highest: number | null;
  /** Most first. */
  reasons: [string, number][];
  durationMs: number | null;
  overTime: RatePoint[];
}

const POINTS = 24;

/** Steps of many runs, put together by pipeline and name: those that reject most first. */
export function stepGroups(steps: readonly StepSeen[]): StepGroup[] {
  const byStep = new Map<string, StepSeen[]>();
  for (const step of steps) {
    const key = JSON.stringify([step.pipeline, step.step_name]);
    const group = byStep.get(key);
    if (group) group.push(step);
    else byStep.set(key, [step]);
  }
  return [...byStep.values()]
    .map(together)
    .toSorted((one, other) => (other.rate ?? -1) - (one.rate ?? -1) || one.name.localeCompare(other.name));
}

function together(seen: StepSeen[]): StepGroup {
  const [newest] = seen;
  const counted = seen.filter((step) => step.input_count !== null && step.output_count !== null);
  const rates = seen.flatMap((step) => (step.rejection_rate === null ? [] : [step.rejection_rate]));
  const reasons = new Map<string, number>();
  for (const step of seen)
    for (const [reason, n] of Object.entries(step.rejection_counts))
      reasons.set(reason, (reasons.get(reason) ?? 0) + n);
  return {
    pipeline: newest?.pipeline ?? "",
    name: newest?.step_name ?? "",
    type: newest?.step_type ?? null,
    seen,
    runs: new Set(seen.map((step) => step.run_id)).size,
    came: counted.length > 0 ? sum(counted.map((step) => step.input_count ?? 0)) : null,
    left: counted.length > 0 ? sum(counted.map((step) => step.output_count ?? 0)) : null,
    rate: rates.length > 0 ? sum(rates) / rates.length : null,
    highest: rates.length > 0 ? Math.max(...rates) : null,
    reasons: [...reasons].toSorted((one, other) => other[1] - one[1] || one[0].localeCompare(other[0])),
    durationMs: middle(seen.flatMap((step) => (step.duration_ms === null ? [] : [step.duration_ms]))),
    overTime: ratesOverTime(seen),
  };
}

/** The mean rate in equal parts of the time; parts in which nothing ran are left out. */
export function ratesOverTime(seen: readonly StepSeen[], parts = POINTS): RatePoint[] {
  const known = seen.flatMap((step) =>
    step.rejection_rate === null ? [] : [{ at: Date.parse(step.run_started_at), rate: step.rejection_rate }],
  );
  if (known.length === 0) return [];
  const first = Math.min(...known.map((one) => one.at));
  const span = Math.max(...known.map((one) => one.at)) - first || 1;
  const bins = new Map<number, { at: number; rate: number; steps: number }>();
  for (const { at, rate } of known) {
    const place = Math.min(parts - 1, Math.floor(((at - first) / span) * parts));
    const bin = bins.get(place) ?? { at: 0, rate: 0, steps: 0 };
    bins.set(place, { at: bin.at + at, rate: bin.rate + rate, steps: bin.steps + 1 });
  }
  return [...bins]
    .toSorted(([one], [other]) => one - other)
    .map(([, bin]) => ({ at: bin.at / bin.steps, rate: bin.rate / bin.steps, steps: bin.steps }));
}

function sum(found: readonly number[]): number {
  return found.reduce((all, one) => all + one, 0);
}

function middle(found: readonly number[]): number | null {
  return found.length > 0 ? (found.toSorted((one, other) => one - other)[found.length >> 1] ?? null) : null;
}
