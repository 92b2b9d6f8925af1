import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { client, taken } from "./client";

/** What narrows a question over many runs; what is empty is not sent. */
export interface Scope {
  pipeline?: string | undefined;
  since?: string | undefined;
  q?: string | undefined;
}

/** One rule, by its reason, with another limit. */
export interface Change {
  reason: string;
  step_name: string;
  threshold?: number;
  disable?: boolean;
}

export interface Sweep {
  reason: string;
  step_name: string;
  from: number;
  to: number;
  points: number;
}

function said(scope: Scope): Record<string, string> {
  return Object.fromEntries(Object.entries(scope).filter(([, value]) => value)) as Record<string, string>;
}

export const rules = (scope: Scope) =>
  queryOptions({
    queryKey: ["rules", scope],
    queryFn: ({ signal }) => taken(client.GET("/rules", { params: { query: said(scope) }, signal })),
  });

export const stability = (scope: Scope) =>
  queryOptions({
    queryKey: ["stability", scope],
    queryFn: ({ signal }) => taken(client.GET("/stability", { params: { query: said(scope) }, signal })),
  });

export const blame = (scope: Scope) =>
  queryOptions({
    queryKey: ["blame", scope],
    queryFn: ({ signal }) => taken(client.GET("/blame", { params: { query: said(scope) }, signal })),
  });

export const explain = (a: string, b: string, outcome: string) =>
  queryOptions({
    queryKey: ["explain", a, b, outcome],
    queryFn: ({ signal }) => taken(client.POST("/explain", { body: { a, b, outcome }, signal })),
    enabled: a !== "" && b !== "",
  });

export const whatif = (scope: Scope, change: Change | null) =>
  queryOptions({
    queryKey: ["whatif", scope, change],
    queryFn: ({ signal }) =>
      taken(
        client.POST("/whatif", {
          body: { ...said(scope), changes: change ? [{ ...change, disable: change.disable ?? false }] : [] },
          signal,
        }),
      ),
    enabled: change !== null,
    placeholderData: keepPreviousData,
  });

export const curve = (scope: Scope, sweep: Sweep | null) =>
  queryOptions({
    queryKey: ["curve", scope, sweep],
    queryFn: ({ signal }) => taken(client.POST("/whatif", { body: { ...said(scope), changes: [], sweep }, signal })),
    enabled: sweep !== null,
  });

export const flip = (runId: string, itemId: string) =>
  queryOptions({
    queryKey: ["flip", runId, itemId],
    queryFn: ({ signal }) => taken(client.POST("/flip", { body: { run_id: runId, item_id: itemId }, signal })),
  });
