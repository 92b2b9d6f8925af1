import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { newest, PAGE, runsPage } from "../api/queries";
import type { RunRow } from "../api/types";
import { mergeRuns } from "../logic/mergeRuns";

export interface LiveRuns {
  rows: RunRow[];
  total: number | null;
  /** How many newer runs are there and not shown. */
  waiting: number;
  accept: () => void;
  loading: boolean;
  error: unknown;
  again: () => void;
  more: () => void;
  hasMore: boolean;
}

/** The runs that fit a filter, while more arrive: `still` says that a row on top moves nothing that is looked at. */
export function useLiveRuns(q: string, still: boolean): LiveRuns {
  const cache = useQueryClient();
  const key = useMemo(() => ["runs", "pages", q], [q]);
  const pages = useInfiniteQuery({
    queryKey: key,
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) => runsPage(q, pageParam, signal),
    getNextPageParam: (last) => (last.offset + PAGE < last.total ? last.offset + PAGE : undefined),
    staleTime: 0,
    retry: false,
  });
  const head = useQuery({ ...newest(q), enabled: pages.isSuccess });
  const [top, setTop] = useState<RunRow[]>([]);

  const known = useMemo(() => [...top, ...(pages.data?.pages.flatMap((page) => page.runs) ?? [])], [top, pages.data]);
  const fresh = useMemo(() => head.data?.runs ?? [], [head.data]);
  const merged = useMemo(() => mergeRuns(known, fresh, false), [known, fresh]);

  const accept = useCallback(() => {
    const shown = new Set(known.map((row) => row.run_id));
    const newer = fresh.filter((row) => !shown.has(row.run_id));
    if (newer.length < PAGE) setTop((before) => [...newer, ...before]);
    else {
      setTop([]); // more came than one page holds: read anew
      void cache.resetQueries({ queryKey: key });
    }
  }, [known, fresh, cache, key]);

  // The reader came back to the top: what arrived meanwhile is taken over once, and stays when they leave again.
  useEffect(() => {
    // oxlint-disable-next-line react/set-state-in-effect
    if (still && merged.waiting > 0) accept();
  }, [still, merged.waiting, accept]);

  return {
    rows: merged.rows,
    total: head.data?.total ?? pages.data?.pages[0]?.total ?? null,
    waiting: still ? 0 : merged.waiting,
    accept,
    loading: pages.isPending,
    error: pages.error ?? head.error,
    again: () => void pages.refetch(),
    more: () => {
      if (pages.hasNextPage && !pages.isFetchingNextPage) void pages.fetchNextPage();
    },
    hasMore: pages.hasNextPage,
  };
}
