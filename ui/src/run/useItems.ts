import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { client, taken } from "../api/client";
import type { StepItems } from "../api/types";
import { atStep, type ItemAtStep } from "../logic/items";

export const PAGE = 200;
const FORGET_MS = 60_000;

export interface Asked {
  step_id: string;
  outcome?: string | undefined;
  reason?: string | undefined;
  q?: string | undefined;
  sort?: string | undefined;
}

export interface ItemsOfStep {
  /** What holds of all pages; that of the question before, while the next is not answered. */
  head: StepItems | undefined;
  old: boolean;
  /** The item at a place, undefined while its page is on its way. */
  at: (index: number) => ItemAtStep | undefined;
  error: unknown;
  again: () => void;
}

type Key = readonly ["items of a step", string, Asked, string, number];

/**
 * The items of a step that lie from `first` to `last`, a page at a time, in the order of the server.
 * They are read anew when `state` changes: the counts of a step that goes on.
 */
export function useItems(runId: string, asked: Asked, first: number, last: number, state: string): ItemsOfStep {
  const pages = useMemo(() => {
    const from = Math.floor(first / PAGE);
    const wanted = Array.from({ length: Math.floor(last / PAGE) - from + 1 }, (_, at) => from + at);
    return [...new Set([0, ...wanted])];
  }, [first, last]);
  const question = JSON.stringify(asked);
  const answers = useQueries({
    queries: pages.map((page) => ({
      queryKey: ["items of a step", runId, asked, state, page] as Key,
      queryFn: ({ signal }: { signal: AbortSignal }) => {
        const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value)) as { step_id: string };
        const query = { ...given, limit: PAGE, offset: page * PAGE };
        return taken(client.GET("/runs/{run_id}/items", { params: { path: { run_id: runId }, query }, signal }));
      },
      // The first page says what holds of all; another may only stand for itself.
      placeholderData: (before: StepItems | undefined, query: { queryKey: Key } | undefined) => {
        const same = query?.queryKey[4] === page && query.queryKey[1] === runId;
        return same && (page === 0 || JSON.stringify(query.queryKey[2]) === question) ? before : undefined;
      },
      staleTime: FORGET_MS,
      gcTime: FORGET_MS,
      retry: false,
    })),
  });
  const head = answers[0];
  const old = head?.isPlaceholderData ?? false;
  const rows = new Map(pages.map((page, at) => [page, answers[at]?.data]));
  return {
    head: head?.data,
    old,
    at: (index) => {
      const found = rows.get(Math.floor(index / PAGE));
      const item = found?.items[index % PAGE];
      return found && item ? atStep(item, found) : undefined;
    },
    error: answers.find((one) => one.error)?.error,
    again: () => answers.forEach((one) => one.error && void one.refetch()),
  };
}
