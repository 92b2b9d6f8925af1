import { QueryClient } from "@tanstack/react-query";
import { Refused } from "./client";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      gcTime: 5 * 60_000,
      refetchOnWindowFocus: false,
      retry: (failed, error) => !(error instanceof Refused) && failed < 2,
    },
  },
});
