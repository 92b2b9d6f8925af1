import type { Step } from "../api/types";
import type { ItemAtStep } from "./items";

type Rule = Step["rules"][number];

/** How far the item was within the limit of the rule that rejected it: negative is outside; null where there is no distance. */
export function marginOf(row: ItemAtStep, rules: readonly Rule[]): number | null {
  if (row.outcome !== "rejected") return null;
  const rule = rules.find((one) => one.reason === row.reason);
  const observed = rule ? row.evidence[rule.field] : undefined;
  if (!rule || typeof observed !== "number" || typeof rule.threshold !== "number") return null;
  if (rule.op === "<" || rule.op === "<=") return rule.threshold - observed;
  if (rule.op === ">" || rule.op === ">=") return observed - rule.threshold;
  return null;
}
