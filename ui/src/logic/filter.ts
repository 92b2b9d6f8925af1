// The one filter grammar, as far as a page needs it: which word is being typed, and what could stand there.

/** Fields of a filter on runs, each with what it is. */
export const FIELDS: Readonly<Record<string, string>> = {
  pipeline: "name of the pipeline",
  status: "running, waiting, completed, failed, abandoned",
  label: "what was said of the run afterwards",
  step: "a step's name or type",
  step_name: "a step's name",
  step_type: "a step's type",
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

const VALUES: Readonly<Record<string, readonly string[]>> = {
  status: ["running", "waiting", "completed", "failed", "abandoned"],
  label: ["good", "bad", "expected", "wrong", "keep"],
  step_type: ["generate", "retrieve", "transform", "filter", "rank", "select", "merge", "route", "tool", "approve"],
  since: ["15m", "1h", "1d", "7d"],
  until: ["15m", "1h", "1d", "7d"],
  rejection_rate: [">0.5", ">0.9", ">0.99"],
};

export interface Typed {
  text: string;
  start: number;
  end: number;
}

export interface Suggestion {
  text: string;
  hint: string;
}

/** The word around the caret. Blanks within quotes belong to it. */
export function wordAt(q: string, caret: number): Typed {
  let start = 0;
  let inside = false;
  for (let at = 0; at < caret; at += 1) {
    if (q[at] === '"' && q[at - 1] !== "\\") inside = !inside;
    else if (q[at] === " " && !inside) start = at + 1;
  }
  let end = caret;
  while (end < q.length && (inside || q[end] !== " ")) {
    if (q[end] === '"' && q[end - 1] !== "\\") inside = !inside;
    end += 1;
  }
  return { text: q.slice(start, end), start, end };
}

export function quoted(value: string): string {
  return /[\s"]/.test(value) || value === "" ? `"${value.replace(/(["\\])/g, "\\$1")}"` : value;
}

/** What could stand where the caret is: names of fields, then the values of one. */
export function suggestions(word: string, known: Readonly<Record<string, readonly string[]>>): Suggestion[] {
  const negated = word.startsWith("-") ? "-" : "";
  const bare = word.slice(negated.length);
  const colon = bare.indexOf(":");
  if (colon < 0) {
    if (!bare) return [];
    return Object.entries(FIELDS)
      .filter(([name]) => name.startsWith(bare.toLowerCase()) && name !== bare)
      .map(([name, hint]) => ({ text: `${negated}${name}${name.endsWith(".") ? "" : ":"}`, hint }));
  }
  const field = bare.slice(0, colon);
  const begun = bare
    .slice(colon + 1)
    .replace(/^"|"$/g, "")
    .toLowerCase();
  return [...(known[field] ?? []), ...(VALUES[field] ?? [])]
    .filter((one) => one.toLowerCase().includes(begun) && one.toLowerCase() !== begun)
    .slice(0, 8)
    .map((one) => ({ text: `${negated}${field}:${quoted(one)}`, hint: "" }));
}

/** The filter with one word put in the place of another. */
export function replaced(q: string, word: Typed, by: string): { q: string; caret: number } {
  const open = by.endsWith(":") || by.endsWith(".");
  const rest = q.slice(word.end);
  const put = open || rest.startsWith(" ") ? by : `${by} `;
  return { q: q.slice(0, word.start) + put + rest, caret: word.start + put.length };
}

/** The filter with a condition more, where it does not stand already. */
export function narrowed(q: string, condition: string): string {
  return ` ${q} `.includes(` ${condition} `) ? q : `${q} ${condition}`.trim();
}
