// The one filter grammar, as far as a page needs it: which word is being typed, and what could stand there.

/** Fields of a filter on runs, each with what it is. */
export const FIELDS: Readonly<Record<string, string>> = {
  pipeline: "name of the pipeline",
  status: "running, waiting, completed, failed, abandoned",
  label: "what was said of the run afterwards",
  step: "a step's name or type",
  step_name: "a step's name",
  step_type: "a step's type",
  reason: "a reason that a step gave",
  rejection_rate: "of one step, 0 to 1: rejection_rate:>0.9",
  since: "an age or a time: since:7d",
  until: "an age or a time: until:1h",
  duration_ms: "duration_ms:>500",
  input_count: "items that came to a step",
  output_count: "items that left a step",
  "input.": 'a value of the input: input.category:"phone cases"',
  "output.": "a value of the output",
  "metadata.": "a value of the metadata",
  version: "version of the code",
  environment: "where it ran",
  variant: "which variant ran",
  run_id: "one run",
  view: "a saved filter",
};

const OF_RUNS_ONLY = new Set(["variant"]);

/** Fields of a filter on steps: all words hold for one and the same step. */
export const STEP_FIELDS: Readonly<Record<string, string>> = {
  name: "the step's name",
  ...Object.fromEntries(Object.entries(FIELDS).filter(([name]) => !OF_RUNS_ONLY.has(name))),
  status: "of the run: running, waiting, completed, failed, abandoned",
  duration_ms: "of the step: duration_ms:>500",
  attempt: "attempt:>1",
  unaccounted: "items that came, and of which nothing says what became",
  "input.": "a value of the step's input",
  "output.": "a value of the step's output",
  "metadata.": "a value of the step's metadata",
  "config.": "a value of the step's configuration",
  step_id: "one step",
};

export const VALUES: Readonly<Record<string, readonly string[]>> = {
  status: ["running", "waiting", "completed", "failed", "abandoned"],
  label: ["good", "bad", "expected", "wrong", "keep"],
  step_type: ["generate", "retrieve", "transform", "filter", "rank", "select", "merge", "route", "tool", "approve"],
  since: ["15m", "1h", "1d", "7d"],
  until: ["15m", "1h", "1d", "7d"],
  rejection_rate: [">0.5", ">0.9", ">0.99"],
};

/** A word of a filter, and where it stands. */
export interface Typed {
  text: string;
  start: number;
  end: number;
}

export interface Suggestion {
  text: string;
  hint: string;
}

/** What is being typed: a name, or behind its colon a value. */
export interface Asking {
  negated: "" | "-";
  field: string | null;
  begun: string;
}

/** A name or a value that the server knows, and the word that asks for it. */
export interface Recorded {
  name: string;
  written: string;
  hint: string;
}

const SHOWN = 12;

/** The words of a filter. Blanks within quotes belong to a word. */
export function wordsOf(q: string): Typed[] {
  const found: Typed[] = [];
  let start = -1;
  let inside = false;
  for (let at = 0; at <= q.length; at += 1) {
    const ends = at === q.length || (!inside && /\s/.test(q[at] ?? ""));
    if (!ends && start < 0) start = at;
    if (ends && start >= 0) {
      found.push({ text: q.slice(start, at), start, end: at });
      start = -1;
    }
    if (q[at] === '"' && !(inside && escaped(q, at))) inside = !inside;
  }
  return found;
}

function escaped(q: string, at: number): boolean {
  let signs = 0;
  while (q[at - 1 - signs] === "\\") signs += 1;
  return signs % 2 === 1;
}

/** The word around the caret; an empty one where it stands between words. */
export function wordAt(q: string, caret: number): Typed {
  const around = wordsOf(q).find((word) => word.start <= caret && caret <= word.end);
  return around ?? { text: "", start: caret, end: caret };
}

/** The filter without a word of it. */
export function without(q: string, word: Typed): string {
  return `${q.slice(0, word.start).trimEnd()} ${q.slice(word.end).trimStart()}`.trim();
}

export function quoted(value: string): string {
  return /[\s"]/.test(value) || value === "" ? `"${value.replace(/(["\\])/g, "\\$1")}"` : value;
}

export function asking(word: string): Asking {
  const negated = word.startsWith("-") ? "-" : "";
  const bare = word.slice(negated.length);
  const colon = bare.startsWith('"') ? -1 : bare.indexOf(":");
  if (colon < 0) return { negated, field: null, begun: bare };
  const begun = bare.slice(colon + 1).replace(/^"|(?<!\\)"$/g, "");
  return { negated, field: bare.slice(0, colon), begun: begun.replace(/\\(.)/g, "$1") };
}

/** What could stand where the caret is: names of fields, then the values of one; what is recorded goes first. */
export function suggestions(
  { negated, field, begun }: Asking,
  recorded: readonly Recorded[],
  fields: Readonly<Record<string, string>> = FIELDS,
): Suggestion[] {
  if (field === null) {
    const known = Object.entries(fields).map(([name, hint]) => ({ name, written: opened(name), hint }));
    const more = recorded.filter((one) => !(one.name in fields));
    return fitting([...known, ...more], begun).map(({ written, hint }) => ({ text: negated + written, hint }));
  }
  const said = new Set(recorded.map((one) => one.name));
  const unseen = (VALUES[field] ?? []).filter((one) => !said.has(one));
  const rest = unseen.map((one) => ({ name: one, written: `${field}:${quoted(one)}`, hint: "" }));
  return fitting([...recorded, ...rest], begun)
    .filter((one) => one.name !== begun)
    .map(({ written, hint }) => ({ text: negated + written, hint }));
}

function opened(name: string): string {
  return name.endsWith(".") ? name : `${name}:`;
}

/** Those that begin so, then those that hold it. */
function fitting(all: readonly Recorded[], begun: string): Recorded[] {
  const sought = begun.toLowerCase();
  const holding = all.filter((one) => one.name.toLowerCase().includes(sought));
  const begins = (one: Recorded) => one.name.toLowerCase().startsWith(sought);
  return [...holding.filter(begins), ...holding.filter((one) => !begins(one))].slice(0, SHOWN);
}

/** Whether a word goes on: a name whose value, or whose key, is still to be typed. */
export function goesOn(word: string): boolean {
  return /^-?([^\s:"]+:|\w+\.)$/.test(word);
}

/** The words of a filter on steps that say the same of runs: those beside which values are counted. */
export function ofRunsToo(q: string): string {
  return keep(q, (word) => isOfRunsToo(asking(word).field));
}

/** Whether a field of a filter on steps is one of runs, with the same values. */
export function isOfRunsToo(field: string | null): boolean {
  return field !== null && field in FIELDS && field !== "view" && field !== "duration_ms";
}

/** The filter with one word put in the place of another. */
export function replaced(q: string, word: Typed, by: string): { q: string; caret: number } {
  const open = goesOn(by);
  const rest = q.slice(word.end);
  const put = open || rest.startsWith(" ") ? by : `${by} `;
  return { q: q.slice(0, word.start) + put + rest, caret: word.start + put.length };
}

/** The filter with a condition more, where it does not stand already. */
export function narrowed(q: string, condition: string): string {
  return wordsOf(q).some((word) => word.text === condition) ? q : `${q} ${condition}`.trim();
}

/** The filter without a condition. */
export function widened(q: string, condition: string): string {
  return keep(q, (word) => word !== condition);
}

export interface Period {
  since: string;
  until: string;
}

const PERIOD = /^(since|until):/;

/** The filter of a stretch of time, in place of what it said of time before. */
export function within(q: string, period: Period): string {
  return `${always(q)} since:${period.since} until:${period.until}`.trim();
}

/** The filter without what it says of time. */
export function always(q: string): string {
  return keep(q, (word) => !PERIOD.test(word));
}

export function saysWhen(q: string): boolean {
  return wordsOf(q).some((word) => PERIOD.test(word.text));
}

function keep(q: string, stays: (word: string) => boolean): string {
  const words = wordsOf(q).map((word) => word.text);
  return words.every(stays) ? q : words.filter(stays).join(" ");
}
