import { Button } from "@mantine/core";
import type { Refused } from "../api/client";
import { Blank } from "../shell/Blank";

/** The filter cannot be read: what is wrong with it, and what was perhaps meant. */
export function FilterRefused({ error, clear }: { error: Refused; clear: () => void }) {
  return (
    <Blank title={error.title}>
      <p role="alert">{error.message}</p>
      {error.fix ? <p>{error.fix}</p> : null}
      <Button size="xs" variant="default" onClick={clear}>
        Clear the filter
      </Button>
    </Blank>
  );
}
