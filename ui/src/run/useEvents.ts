import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { client, taken } from "../api/client";
import type { EventRow } from "../api/types";

const PAGE = 1_000;
const BY_ITSELF = 10;

export interface Events {
  events: EventRow[];
  loading: boolean;
  error: unknown;
  /** There are more than were read by themselves. */
  hasMore: boolean;
  more: () => void;
}

export interface Asked {
  step_id?: string;
  outcome?: string;
  item?: string;
}

/**
 * The events of a run, page after page: the first 10,000 by themselves, further ones when asked for.
 * They are read anew when `state` changes: the counts of a step that goes on.
 */
export function useEvents(runId: string, asked: Asked, state = ""): Events {
  const pages = useInfiniteQuery({
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
  const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  const read = data?.pages.length ?? 0;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && read < BY_ITSELF) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, read]);
  const events = useMemo(() => data?.pages.flatMap((page) => page.events) ?? [], [data]);
  return {
    events,
    loading: pages.isPending || (hasNextPage && read < BY_ITSELF),
    error: pages.error,
    hasMore: hasNextPage,
    more: () => void fetchNextPage(),
  };
}
