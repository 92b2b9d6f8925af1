import { queryOptions } from "@tanstack/react-query";
import { client, taken } from "../api/client";
import { quoted } from "../logic/filter";

/** Of how many runs the losses are added up: a pipeline's health is of now. */
export const NEWEST = 500;

export const newestOf = (pipeline: string) =>
  queryOptions({
    queryKey: ["runs", "health", pipeline],
    queryFn: ({ signal }) =>
      taken(client.GET("/runs", { params: { query: { q: `pipeline:${quoted(pipeline)}`, limit: NEWEST } }, signal })),
    refetchInterval: 30_000,
  });
