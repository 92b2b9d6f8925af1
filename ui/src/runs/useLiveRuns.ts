import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { Refused } from "../api/client";
import { newest, PAGE, runsPage } from "../api/queries";
import type { RunRow } from "../api/types";
import { mergeRuns, ordered } from "../logic/mergeRuns";

const AGAIN_MS = 3_000;
const LONGEST = 10 * PAGE;
const NONE: RunRow[] = [];

export interface LiveRuns {
  rows: RunRow[];
  total: number | null;
  /** How many runs are there and not shown. */
  waiting: number;
  accept: () => void;
  loading: boolean;
  error: unknown;
  /** Since when the server does not answer; what is shown is as old. */
  away: number | null;
  again: () => void;
  more: () => void;
  hasMore: boolean;
}

/** The runs that fit a filter, while more arrive: `still` says that a row more moves nothing that is looked at. */
export function useLiveRuns(q: string, still: boolean): LiveRuns {
  const cache = useQueryClient();
  const key = useMemo(() => ["runs", "pages", q], [q]);
  const pages = useInfiniteQuery({
    queryKey: key,
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => runsPage(q, pageParam, signal),
    getNextPageParam: (last) => (last.offset + PAGE < last.total ? last.offset + PAGE : undefined),
    staleTime: 0,
    networkMode: "always",
    refetchOnReconnect: false, // rows on top would push down what is looked at
    refetchInterval: ({ state }) => (state.data === undefined && passes(state.error) ? AGAIN_MS : false),
    retry: false,
  });
  const head = useQuery({ ...newest(q), enabled: pages.isSuccess });
  const [taken, setTaken] = useState({ q, rows: NONE });
  const top = taken.q === q ? taken.rows : NONE;

  const known = useMemo(
    () => ordered([...top, ...(pages.data?.pages.flatMap((page) => page.runs) ?? [])]),
    [top, pages.data],
  );
  const fresh = useMemo(
    () => (head.data ? { runs: head.data.runs, cut: head.data.total > head.data.runs.length } : null),
    [head.data],
  );
  const { rows, arrived } = useMemo(
    () => mergeRuns(known, fresh, pages.hasNextPage, still),
    [known, fresh, pages.hasNextPage, still],
  );

  const page = head.data;
  const accept = useCallback(() => {
    if (page && (arrived.length >= PAGE || top.length > LONGEST)) {
      setTaken({ q, rows: NONE }); // what lies between is not known: the list begins anew with this page
      cache.setQueryData(key, { pages: [page], pageParams: [0] });
    } else setTaken({ q, rows: [...arrived, ...top] });
  }, [arrived, page, q, top, cache, key]);

  // The reader came back to the top: what arrived meanwhile is taken over once, and stays when they leave again.
  useEffect(() => {
    // oxlint-disable-next-line react/set-state-in-effect
    if (still && arrived.length > 0) accept();
  }, [still, arrived.length, accept]);

  return {
    rows,
    total: head.data?.total ?? pages.data?.pages[0]?.total ?? null,
    waiting: still ? 0 : arrived.length,
    accept,
    loading: pages.isPending,
    error: pages.error ?? head.error,
    away:
      passes(head.error) || (!pages.data && passes(pages.error))
        ? Math.max(head.dataUpdatedAt, pages.dataUpdatedAt)
        : null,
    again: () => void pages.refetch(),
    more: () => {
      if (pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
    },
    hasMore: pages.hasNextPage,
  };
}

/** Whether an error passes by itself: the server is away or busy, and not in disagreement. */
function passes(error: unknown): boolean {
  return error !== null && !(error instanceof Refused && error.status < 500 && error.status !== 429);
}
