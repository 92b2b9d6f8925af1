import { queryOptions } from "@tanstack/react-query";
import { client, taken } from "../api/client";

/** How many steps are put together: the newest that fit. */
export const MOST = 1000;

export const steps = (q: string) =>
  queryOptions({
    queryKey: ["steps", q],
    queryFn: ({ signal }) =>
      taken(client.GET("/steps", { params: { query: { limit: MOST, ...(q ? { q } : {}) } }, signal })),
    refetchInterval: 30_000,
    retry: false,
  });
