import type { EventRow } from "../api/types";

/** What became of one item at one step: its last outcome there, and all that was observed of it. */
export interface ItemAtStep {
  itemId: string;
  name: string | null;
  stepId: string;
  stepName: string;
  outcome: string | null;
  reason: string | null;
  score: number | null;
  by: string;
  evidence: Record<string, unknown>;
  evidenceState: string | null;
  refItem: string | null;
}

/** Names by item, from wherever a run gave them. */
export function namesOf(events: readonly EventRow[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const event of events) if (event.name) names.set(event.item_id, event.name);
  return names;
}

/** One row an item, in the order in which they came. */
export function itemsOf(events: readonly EventRow[], names: ReadonlyMap<string, string>): ItemAtStep[] {
  const rows = new Map<string, ItemAtStep>();
  for (const event of events) {
    const key = `${event.step_id}\n${event.item_id}`;
    let row = rows.get(key);
    if (!row) {
      row = {
        itemId: event.item_id,
        name: names.get(event.item_id) ?? null,
        stepId: event.step_id,
        stepName: event.step_name ?? event.step_id,
        outcome: null,
        reason: null,
        score: null,
        by: event.by,
        evidence: {},
        evidenceState: null,
        refItem: null,
      };
      rows.set(key, row);
    }
    if (event.outcome) {
      row.outcome = event.outcome;
      row.reason = event.reason;
      row.by = event.by;
      row.refItem = event.ref_item;
    }
    if (event.score !== null) row.score = event.score;
    Object.assign(row.evidence, event.evidence);
    if (event.evidence_state && event.evidence_state !== "kept") row.evidenceState = event.evidence_state;
  }
  return [...rows.values()];
}

const MOST_COLUMNS = 6;

/** The keys of the evidence that most rows have: these become columns. */
export function evidenceColumns(rows: readonly ItemAtStep[]): string[] {
  const counts = new Map<string, number>();
  for (const row of rows) for (const key of Object.keys(row.evidence)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts.entries()]
    .toSorted((one, other) => other[1] - one[1])
    .slice(0, MOST_COLUMNS)
    .map(([key]) => key);
}

export interface Wanted {
  outcome?: string | undefined;
  reason?: string | undefined;
  find?: string | undefined;
}

export function wanted(rows: readonly ItemAtStep[], { outcome, reason, find }: Wanted): ItemAtStep[] {
  const text = find?.toLowerCase();
  return rows.filter(
    (row) =>
      (!outcome || row.outcome === outcome) &&
      (!reason || row.reason === reason) &&
      (!text || row.itemId.toLowerCase().includes(text) || (row.name ?? "").toLowerCase().includes(text)),
  );
}

function absent(found: unknown): boolean {
  return found === null || found === undefined;
}

/** Ordered values first, what is missing last, in either direction. */
export function compare(one: unknown, other: unknown): number {
  if (absent(one) || absent(other)) return absent(one) ? (absent(other) ? 0 : 1) : -1;
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}

/** The rows of these items first, the others in their order. */
export function firstOf(rows: readonly ItemAtStep[], first: ReadonlySet<string>): ItemAtStep[] {
  return [...rows.filter((row) => first.has(row.itemId)), ...rows.filter((row) => !first.has(row.itemId))];
}
