// What of a filter that is being typed can be sent: the rest of it the server would refuse.

import { asking, FIELDS, STEP_FIELDS, VALUES, wordsOf } from "./filter";

const NUMBERS = new Set(["rejection_rate", "duration_ms", "input_count", "output_count", "attempt", "unaccounted"]);
const NUMBER = /^(>=|<=|>|<)?-?\d+(\.\d+)?$/;
const AGE = /^\d+[smhdw]$/;
const DAY = /^"?\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"?$/;
const CLOSED = new Set(["status", "label"]); // their values are all known

/** Whether a filter may ask of it; null stands for a bare word. */
export function isField(name: string | null): boolean {
  if (name === null || OTHERS.has(name)) return true;
  if (!name.endsWith(".") && (Object.hasOwn(FIELDS, name) || Object.hasOwn(STEP_FIELDS, name))) return true;
  return Object.keys(STEP_FIELDS).some((root) => root.endsWith(".") && name.startsWith(root) && name !== root);
}

const OTHERS = new Set(["code_version", "parent_run_id", "trace_id"]);

/** The words of a filter that are whole. */
export function readable(q: string): string {
  return wordsOf(q)
    .map((word) => word.text)
    .filter(isWhole)
    .join(" ");
}

function isWhole(word: string): boolean {
  if ((word.match(/(?<!\\)"/g) ?? []).length % 2 === 1 || word === "-") return false;
  const { field, begun } = asking(word);
  if (field === null) return true;
  if (!isField(field) || begun === "" || /^[<>]=?$/.test(begun)) return false;
  if (NUMBERS.has(field)) return NUMBER.test(begun);
  if (field === "since" || field === "until") return AGE.test(begun) || DAY.test(begun);
  return !CLOSED.has(field) || (VALUES[field] ?? []).includes(begun);
}
