import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { fields, views } from "../api/queries";
import type { Fields, Source } from "../api/types";
import {
  asking,
  FIELDS,
  isOfRunsToo,
  ofRunsToo,
  quoted,
  type Recorded,
  STEP_FIELDS,
  type Suggestion,
  suggestions,
  type Typed,
  without,
} from "../logic/filter";
import { isField, readable } from "../logic/halfTyped";
import { number, plain, plural } from "../logic/format";

const PAUSE_MS = 120;

/** What could stand where the caret is; of steps only what is recorded of runs and steps alike. What the server has told once is not asked again, key by key. */
export function useSuggestions(source: Source, q: string, word: Typed, enabled: boolean): Suggestion[] {
  const asked = useMemo(() => asking(word.text), [word.text]);
  const others = readable(without(q, word));
  const rest = source === "runs" ? others : ofRunsToo(others);
  const here = source === "runs" ? asked.field !== "view" && isField(asked.field) : isOfRunsToo(asked.field);
  const all = useQuery({ ...fields(rest, asked.field, ""), enabled: enabled && here });
  const cut = all.data !== undefined && all.data.total > rowsOf(all.data).length;
  const [begun] = useDebouncedValue(asked.begun, PAUSE_MS);
  const some = useQuery({
    ...fields(rest, asked.field, begun),
    enabled: enabled && here && cut && begun !== "",
    placeholderData: (before) => ((before?.field ?? null) === asked.field ? before : undefined),
  });
  const saved = useQuery({ ...views, enabled });
  return useMemo(() => {
    if (!enabled) return [];
    const found = here ? [...rowsOf(all.data), ...rowsOf(some.data)] : [];
    const known = asked.field === "view" ? viewsOf(saved.data?.views ?? [], source) : found;
    const once = [...new Map(known.map((one) => [one.name, one])).values()];
    return suggestions(asked, once, source === "runs" ? FIELDS : STEP_FIELDS);
  }, [enabled, here, source, asked, all.data, some.data, saved.data]);
}

function rowsOf(answer: Fields | undefined): Recorded[] {
  if (!answer) return [];
  const { looked_at } = answer;
  const word = answer.counted === "steps" ? "step" : "run";
  const partly = answer.unknown ? `, in the newest ${plural(looked_at, "run")}` : "";
  const names = answer.fields?.map(({ field, runs, example }) => ({
    name: field,
    written: `${field}:`,
    hint: runs === null ? "" : plain(`${example}, …: in ${number(runs)} of the newest ${plural(looked_at, "run")}`),
  }));
  const values = answer.values?.map(({ value, written, n }) => ({
    name: value,
    written,
    hint: plural(n, word) + partly,
  }));
  return names ?? values ?? [];
}

function viewsOf(saved: readonly { name: string; q: string; source: string }[], source: Source): Recorded[] {
  return saved
    .filter((one) => one.source === source)
    .map(({ name, q }) => ({ name, written: `view:${quoted(name)}`, hint: plain(q) }));
}
