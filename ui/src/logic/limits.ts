import type { RuleHealth } from "../api/types";

export interface Limits {
  from: number;
  upTo: number;
  step: number;
}

/** Between which limits a rule is worth trying: where its values lie, and at least as far as `reached`. */
export function limits(rule: Pick<RuleHealth, "threshold" | "near_misses" | "op">, reached?: number): Limits {
  const now = rule.threshold as number;
  const bins = rule.near_misses?.bins ?? [];
  const [first, last] = [bins[0], bins.at(-1)];
  const reach = first && last ? Math.max(Math.abs(first.from), Math.abs(last.to)) : Math.max(Math.abs(now), 1) / 2;
  let [low, high] = [now - reach, now + reach];
  if (reached !== undefined && Number.isFinite(reached))
    [low, high] = [Math.min(low, reached), Math.max(high, reached)];
  const step = 10 ** Math.floor(Math.log10((high - low) / 100));
  const whole = (value: number, round: (value: number) => number) =>
    Number((round(value / step) * step).toPrecision(12));
  return { from: whole(low, Math.floor), upTo: whole(high, Math.ceil), step: Number(step.toPrecision(1)) };
}
