import type { Run, Step } from "../api/types";
import { value } from "./format";

const TELLING = [
  "title",
  "name",
  "product",
  "query",
  "question",
  "prompt",
  "text",
  "input",
  "selected",
  "answer",
  "result",
];
const LONGEST = 160;
const MOST_KEYS = 3;

/** What a person would call this input or output, in one line; "" for nothing. */
export function summary(recorded: unknown): string {
  return cut(told(recorded));
}

function told(recorded: unknown): string {
  if (recorded === null || recorded === undefined) return "";
  if (typeof recorded !== "object") return value(recorded);
  if (Array.isArray(recorded)) return recorded.map(told).join(", ");
  const entries = Object.entries(recorded);
  for (const key of TELLING) {
    const found = entries.find(([name]) => name === key)?.[1];
    if (typeof found === "string" && found) return value(found);
  }
  const said = entries.filter(([, one]) => one !== null);
  if (said.length === 0) return entries.length > 0 ? "nothing" : "";
  const first = said.slice(0, MOST_KEYS).map(([key, one]) => `${key} ${value(one)}`);
  return [...first, ...(said.length > MOST_KEYS ? ["…"] : [])].join(" · ");
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

/** Steps that count: a superseded attempt leaves the funnel. */
export function standing(steps: readonly Step[]): Step[] {
  const last = new Map<string, number>();
  for (const step of steps) {
    const key = `${step.parent_step_id ?? ""}/${step.step_name}`;
    if (step.attempt > 1) last.set(key, Math.max(last.get(key) ?? 0, step.attempt));
  }
  return steps.filter((step) => step.attempt >= (last.get(`${step.parent_step_id ?? ""}/${step.step_name}`) ?? 0));
}

/** How many candidates came in, and how many were left at the end; null where it is not known. */
export function candidates(run: Run): { entered: number | null; left: number | null } {
  const steps = standing(run.steps);
  if (steps.length === 0) return { entered: null, left: null };
  let entered = 0;
  for (const step of steps) {
    entered += step.counts.produced - step.counts.consumed;
    if (step.after.length === 0) entered += step.counts.in ?? step.input_count ?? 0;
  }
  return { entered: entered > 0 ? entered : null, left: steps.at(-1)?.output_count ?? null };
}

/** The step that rejected the largest share. */
export function worstStep(run: Run): Step | null {
  let worst: Step | null = null;
  for (const step of standing(run.steps)) {
    if ((step.rejection_rate ?? 0) > (worst?.rejection_rate ?? 0)) worst = step;
  }
  return worst;
}
