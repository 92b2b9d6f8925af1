import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { client, taken } from "../api/client";
import type { EventRow } from "../api/types";

const PAGE = 1_000;
const MOST = 10;

/**
 * The first 10,000 events of a step, page after page: what a distribution is drawn from.
 * They are read anew when `state` changes: the counts of a step that goes on.
 */
export function useEvents(runId: string, asked: { step_id: string }, state = ""): { events: EventRow[] } {
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery({
    queryKey: ["events", runId, asked, state],
    placeholderData: keepPreviousData,
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) => {
      const query = { ...asked, limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) };
      return taken(client.GET("/runs/{run_id}/events", { params: { path: { run_id: runId }, query }, signal }));
    },
    getNextPageParam: (last) => last.next_cursor,
    staleTime: 60_000,
  });
  const read = data?.pages.length ?? 0;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && read < MOST) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, read]);
  return { events: useMemo(() => data?.pages.flatMap((page) => page.events) ?? [], [data]) };
}
