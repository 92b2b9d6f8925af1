import { Skeleton } from "@mantine/core";

/** What stands where an answer will be. */
export function Waiting({ lines = 6 }: { lines?: number }) {
  return (
    <div role="status" aria-busy="true" aria-label="Loading" style={{ padding: 16 }}>
      {Array.from({ length: lines }, (_, at) => (
        <Skeleton key={at} height={14} mt={at ? 14 : 0} width={`${92 - ((at * 17) % 38)}%`} />
      ))}
    </div>
  );
}
