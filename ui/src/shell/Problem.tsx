import { Button } from "@mantine/core";
import { Refused, Unreachable } from "../api/client";
import { Blank } from "./Blank";
import { Lines } from "./Lines";

/** Why a call did not answer, in the server's own words, and what to do. */
export function Problem({ error, again }: { error: unknown; again?: () => void }) {
  const retry = again ? (
    <Button size="xs" variant="default" mt="sm" onClick={again}>
      Try again
    </Button>
  ) : null;
  if (error instanceof Refused) {
    return (
      <Blank title={error.title}>
        <p role="alert">{error.message}</p>
        {error.fix ? <p>{error.fix}</p> : null}
        {error.status >= 500 || error.status === 429 ? retry : null}
      </Blank>
    );
  }
  if (error instanceof Unreachable) {
    return (
      <Blank title="The server does not answer">
        <p role="alert">
          Nothing is listening at {window.location.origin} any more. Start it again, and this page goes on:
        </p>
        <Lines text="dxray serve" />
        {retry}
      </Blank>
    );
  }
  return (
    <Blank title="This page could not be drawn">
      <p role="alert">{error instanceof Error ? error.message : String(error)}</p>
      {retry}
    </Blank>
  );
}
