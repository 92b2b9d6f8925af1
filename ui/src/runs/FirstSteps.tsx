import { Button } from "@mantine/core";
import { Blank } from "../shell/Blank";
import { Lines } from "../shell/Lines";

/** No run is there: what to type, with the address of this server. */
export function FirstSteps({ q, clear }: { q: string; clear: () => void }) {
  if (q) {
    return (
      <Blank title="No run fits this filter">
        <p>All words of a filter must hold. New runs that fit appear here by themselves.</p>
        <Button size="xs" variant="default" onClick={clear}>
          Show all runs
        </Button>
      </Blank>
    );
  }
  const lines = [
    "from dxray import XRay",
    "",
    `with XRay("my_pipeline", api_url="${window.location.origin}").run(input={"product": "iPhone Case"}) as run:`,
    '    run.set_output({"selected": my_existing_pipeline()})',
  ].join("\n");
  return (
    <Blank title="Nothing is recorded yet">
      <p>Record a run with three lines. It appears here as soon as it starts:</p>
      <Lines text={lines} />
      <p>Or look at an example first: it records 30 runs, three of which go wrong.</p>
      <Lines text="dxray demo" />
    </Blank>
  );
}
