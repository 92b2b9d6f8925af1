import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { client, taken } from "./client";

const ENDED = new Set(["completed", "failed"]);
const LIVE_MS = 3_000;

export const PAGE = 100;

/** One page of runs, newest first. */
export function runsPage(q: string, offset: number, signal?: AbortSignal) {
  const query = { limit: PAGE, offset, ...(q ? { q } : {}) };
  return taken(client.GET("/runs", { params: { query }, ...(signal ? { signal } : {}) }));
}

/** The newest runs, asked again and again: also while the browser has no network, and the server is on this machine. */
export const newest = (q: string) =>
  queryOptions({
    queryKey: ["runs", "newest", q],
    queryFn: ({ signal }) => runsPage(q, 0, signal),
    refetchInterval: LIVE_MS,
    networkMode: "always",
    retry: false,
  });

/** When runs started; what was there stays until the next answer, so that nothing moves. */
export const times = (q: string) =>
  queryOptions({
    queryKey: ["times", q],
    queryFn: ({ signal }) => taken(client.GET("/times", { params: { query: q ? { q } : {} }, signal })),
    refetchInterval: 3 * LIVE_MS,
    networkMode: "always",
    placeholderData: keepPreviousData,
    retry: false,
  });

/** What can stand in a filter beside its other words: names of fields or, of one field, its values. */
export const fields = (q: string, field: string | null, prefix: string) =>
  queryOptions({
    queryKey: ["fields", q, field, prefix],
    queryFn: ({ signal }) =>
      taken(
        client.GET("/fields", {
          params: { query: { prefix, limit: 100, ...(q ? { q } : {}), ...(field === null ? {} : { field }) } },
          signal,
        }),
      ),
    staleTime: 30_000,
    retry: false,
  });

export const run = (runId: string) =>
  queryOptions({
    queryKey: ["run", runId],
    queryFn: ({ signal }) => taken(client.GET("/runs/{run_id}", { params: { path: { run_id: runId } }, signal })),
    refetchInterval: ({ state }) => (state.data && !ENDED.has(state.data.status) ? LIVE_MS : false),
  });

export const funnel = (runId: string) =>
  queryOptions({
    queryKey: ["funnel", runId],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs/{run_id}/funnel", { params: { path: { run_id: runId } }, signal })),
    refetchInterval: ({ state }) => (state.data && !ENDED.has(state.data.run_status) ? LIVE_MS : false),
  });

export const why = (runId: string, item: string) =>
  queryOptions({
    queryKey: ["why", runId, item],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs/{run_id}/why", { params: { path: { run_id: runId }, query: { item } }, signal })),
  });

export const lineage = (runId: string, item: string) =>
  queryOptions({
    queryKey: ["lineage", runId, item],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs/{run_id}/lineage", { params: { path: { run_id: runId }, query: { item } }, signal })),
  });

export const whyRank = (runId: string, item: string, over: string) =>
  queryOptions({
    queryKey: ["why-rank", runId, item, over],
    queryFn: ({ signal }) =>
      taken(
        client.GET("/runs/{run_id}/why-rank", { params: { path: { run_id: runId }, query: { item, over } }, signal }),
      ),
  });

export const labels = (runId: string) =>
  queryOptions({
    queryKey: ["labels", runId],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs/{run_id}/labels", { params: { path: { run_id: runId } }, signal })),
  });

export const itemById = (id: string, limit = 100) =>
  queryOptions({
    queryKey: ["items", "id", id, limit],
    queryFn: ({ signal }) => taken(client.GET("/items", { params: { query: { id, limit } }, signal })),
  });

export const itemsByName = (name: string, limit = 8) =>
  queryOptions({
    queryKey: ["items", "name", name, limit],
    queryFn: ({ signal }) => taken(client.GET("/items", { params: { query: { name, limit } }, signal })),
    enabled: name.length > 1,
  });

export const diff = (a: string, b: string, isolate: boolean) =>
  queryOptions({
    queryKey: ["diff", a, b, isolate],
    queryFn: ({ signal }) => taken(client.GET("/diff", { params: { query: { a, b, isolate } }, signal })),
    enabled: a !== "" && b !== "",
  });

export const pipelines = queryOptions({
  queryKey: ["pipelines"],
  queryFn: ({ signal }) => taken(client.GET("/pipelines", { signal })),
  staleTime: 10_000,
});

export const views = queryOptions({
  queryKey: ["views"],
  queryFn: ({ signal }) => taken(client.GET("/views", { signal })),
  staleTime: 30_000,
});
