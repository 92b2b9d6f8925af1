import type { Step } from "../api/types";
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
