import { quoted } from "./filter";

const OF_STEPS_ONLY = new Set(["step_id", "attempt", "unaccounted"]);
const OF_STEPS = new Set(["name", "step", "step_name", "step_type", "rejection_rate", "input_count", "output_count"]);

/** The words of a filter. Blanks within quotes belong to a word. */
export function wordsOf(q: string): string[] {
  return q.match(/(?:[^\s"]|"(?:\\.|[^"\\])*"?)+/g) ?? [];
}

/**
 * The filter on runs that finds those behind a step, as a filter on steps found it; null where runs cannot be asked
 * so: what is only known of steps, or what runs do not have in any step.
 */
export function runsBehind(q: string, pipeline: string, stepName: string): string | null {
  const kept: string[] = [];
  for (const word of wordsOf(q)) {
    const negated = word.startsWith("-");
    const colon = word.indexOf(":");
    const field = colon < 0 ? "" : word.slice(negated ? 1 : 0, colon);
    if (OF_STEPS_ONLY.has(field) || field === "view" || colon < 0) return null;
    if (negated && (OF_STEPS.has(field) || field.startsWith("config."))) return null;
    if (/^(input|output|metadata)\./.test(field)) return null; // of the step there, of the run here
    if (field === "pipeline" && !negated) continue;
    if (field === "name" || field === "step_name") continue;
    kept.push(word);
  }
  return [`pipeline:${quoted(pipeline)}`, `step_name:${quoted(stepName)}`, ...kept].join(" ");
}
