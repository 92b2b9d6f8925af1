import type { Funnel, FunnelStep } from "../api/types";

export type LeafKind = "rejected" | "outranked" | "merged" | "unaccounted" | "lost" | "not_named" | "selected" | "left";

/** Items that left the run at a step, or stayed at its end. */
export interface Leaf {
  key: string;
  stepId: string;
  kind: LeafKind;
  label: string;
  reason: string | null;
  n: number;
  /** Of what came to the step; null where that is not known. */
  share: number | null;
}

export interface Flow {
  from: string;
  to: string;
  n: number;
}

export interface FunnelGraph {
  steps: FunnelStep[];
  column: Map<string, number>;
  flows: Flow[];
  leaves: Map<string, Leaf[]>;
}

const MOST_REASONS = 5;

/** The steps that count, which column each stands in, what went between them and what left. */
export function funnelGraph(funnel: Funnel): FunnelGraph {
  const steps = funnel.steps.filter((step) => !step.superseded);
  const at = new Map(steps.map((step, index) => [step.step_id, index]));
  const column = new Map<string, number>();
  const flows: Flow[] = [];
  const goesOn = new Set<string>();
  const leaves = new Map<string, Leaf[]>(steps.map((step) => [step.step_id, []]));
  steps.forEach((step, index) => {
    let mine = 0;
    for (const edge of step.edges) {
      const source = at.get(edge.step_id);
      if (source === undefined || source >= index) continue;
      mine = Math.max(mine, (column.get(edge.step_id) ?? 0) + 1);
      goesOn.add(edge.step_id);
      flows.push({ from: edge.step_id, to: step.step_id, n: Math.min(edge.in ?? 0, edge.out ?? Infinity) });
      if (edge.lost_between) {
        const label = `lost before ${step.step_name}`;
        leaves.get(edge.step_id)?.push(leaf(steps[source], "lost", label, edge.lost_between, step.step_id));
      }
    }
    column.set(step.step_id, mine);
  });
  for (const step of steps)
    leaves.set(step.step_id, [...left(step, goesOn, funnel), ...(leaves.get(step.step_id) ?? [])]);
  return { steps, column, flows, leaves };
}

function leaf(
  step: FunnelStep | undefined,
  kind: LeafKind,
  label: string,
  n: number,
  tail = "",
  reason?: string,
): Leaf {
  const came = step ? dealtWith(step) : 0;
  return {
    key: `${step?.step_id}:${kind}:${reason ?? tail}`,
    stepId: step?.step_id ?? "",
    kind,
    label,
    reason: reason ?? null,
    n,
    share: came > 0 ? n / came : null,
  };
}

/** Distinct items that a step dealt with, without those that it turned into others. */
export function dealtWith(step: FunnelStep): number {
  const known = (step.in ?? 0) + step.produced - step.consumed;
  const told = step.accepted + step.rejected + step.selected + step.outranked + step.merged + (step.unaccounted ?? 0);
  return Math.max(known, told + step.accepted_by_count + step.rejected_by_count, step.out ?? 0);
}

function left(step: FunnelStep, goesOn: ReadonlySet<string>, funnel: Funnel): Leaf[] {
  const found: Leaf[] = [];
  if (!goesOn.has(step.step_id)) {
    const [first, ...others] = funnel.winners;
    const winner = first && step.selected > 0 ? (first.name ?? first.item_id) : "selected";
    if (step.selected > 0) {
      const label = others.length > 0 && step.selected > 1 ? `${winner} and ${step.selected - 1} more` : winner;
      found.push(leaf(step, "selected", label, step.selected));
    }
    const kept = step.accepted + step.accepted_by_count;
    if (kept > 0) found.push(leaf(step, "left", "left at the end", kept));
  }
  const named = step.reasons.toSorted((one, other) => other.n - one.n);
  const shown = named.length > MOST_REASONS + 1 ? MOST_REASONS : named.length; // one alone is no "more"
  for (const { reason, n } of named.slice(0, shown)) found.push(leaf(step, "rejected", reason, n, "", reason));
  const more = named.slice(shown);
  if (more.length > 0) {
    const n = more.reduce((sum, one) => sum + one.n, 0);
    found.push(leaf(step, "rejected", `${more.length} more reasons`, n, "more"));
  }
  const withReason = named.reduce((sum, one) => sum + one.n, 0);
  const rest: [LeafKind, string, number][] = [
    ["rejected", "rejected, no reason said", step.rejected - withReason],
    ["outranked", "outranked", step.outranked],
    ["merged", "merged", step.merged],
    ["not_named", "rejected, not itemised", step.rejected_by_count],
    ["unaccounted", "unaccounted", step.unaccounted ?? 0],
  ];
  for (const [kind, label, n] of rest) if (n > 0) found.push(leaf(step, kind, label, n, label));
  return found;
}
