import type { Step } from "../api/types";

/** What changes while a step goes on, and never after: nothing of one that has ended. */
export function stateOf(step: Step): string {
  return step.ended_at ? "" : JSON.stringify(step.counts);
}
