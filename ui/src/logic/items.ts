import type { StepItem, StepItems } from "../api/types";

/** What became of one item at one step: its last outcome there, and all that was observed of it. */
export interface ItemAtStep {
  itemId: string;
  name: string | null;
  stepId: string;
  stepName: string;
  outcome: string | null;
  reason: string | null;
  score: number | null;
  rank: number | null;
  by: string;
  evidence: Record<string, unknown>;
  evidenceState: string | null;
  refItem: string | null;
}

/** A row of the server's answer. */
export function atStep(item: StepItem, step: { step_id: string; step_name: string }): ItemAtStep {
  return {
    itemId: item.item_id,
    name: item.name,
    stepId: step.step_id,
    stepName: step.step_name,
    outcome: item.outcome,
    reason: item.reason,
    score: item.score,
    rank: item.rank,
    by: item.by,
    evidence: item.evidence ?? {},
    evidenceState: item.evidence_state === "kept" ? null : item.evidence_state,
    refItem: item.ref_item,
  };
}

const MOST_COLUMNS = 6;

export interface Column {
  key: string;
  numeric: boolean;
}

/** The keys of the evidence that become columns: those that most items have, else those of the rows that are here. */
export function evidenceColumns({ evidence_keys, items }: Pick<StepItems, "evidence_keys" | "items">): Column[] {
  if (evidence_keys.length > 0)
    return evidence_keys.slice(0, MOST_COLUMNS).map(({ key, kind }) => ({ key, numeric: kind === "number" }));
  const keys = new Set(items.flatMap((item) => Object.keys(item.evidence ?? {})));
  return [...keys].slice(0, MOST_COLUMNS).map((key) => ({ key, numeric: false }));
}

const COMPARED = /^([^\s:"<>=]+)\s*:?\s*(>=|<=|>|<|=)\s*(-?[\d.]+)$/;

/** What was typed as the filter of the server: a comparison of evidence, `price > 100`, else text of an id or a name. */
export function itemsFilter(typed: string | undefined, keys: readonly string[]): string | undefined {
  const text = typed?.trim();
  if (!text) return undefined;
  const [, key, op, limit] = COMPARED.exec(text) ?? [];
  if (key && op && keys.includes(key)) return `evidence.${key}:${op === "=" ? "" : op}${limit}`;
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** A key that was compared and is not there, with the one that is nearest; undefined where none was compared. */
export function unknownKey(
  typed: string | undefined,
  keys: readonly string[],
): { key: string; near?: string } | undefined {
  const [, key] = COMPARED.exec(typed?.trim() ?? "") ?? [];
  if (!key || keys.includes(key)) return undefined;
  const [near] = keys
    .map((one) => ({ one, apart: apart(key.toLowerCase(), one.toLowerCase()) }))
    .filter((one) => one.apart <= Math.max(1, key.length / 3))
    .toSorted((a, b) => a.apart - b.apart);
  return near ? { key, near: near.one } : { key };
}

/** How many letters have to be put in, taken out or changed. */
function apart(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (const [at, letter] of [...one].entries()) {
    const next = [at + 1];
    for (let to = 1; to <= other.length; to += 1)
      next.push(
        Math.min((row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1, (row[to - 1] ?? 0) + (other[to - 1] === letter ? 0 : 1)),
      );
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** The next order of a column that is pressed: one way, the other, and as they came. */
export function nextSort(sort: string | undefined, field: string, descending: boolean): string | undefined {
  const [first, second] = descending ? [`-${field}`, field] : [field, `-${field}`];
  return sort === first ? second : sort === second ? undefined : first;
}
