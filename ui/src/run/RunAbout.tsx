import type { Run } from "../api/types";
import { exactTime } from "../logic/format";
import { Card } from "../shell/Card";
import { Recorded } from "./Recorded";

/** What was recorded of the run as a whole. */
export function RunAbout({ run }: { run: Run }) {
  const facts = Object.fromEntries(
    Object.entries({
      run_id: run.run_id,
      started: exactTime(run.started_at),
      ended: exactTime(run.ended_at) || null,
      parent_run_id: run.parent_run_id,
      trace_id: run.trace_id,
    }).filter(([, one]) => one !== null),
  );
  return (
    <Card title="The run">
      <Recorded title="Input" found={run.input} />
      <Recorded title="Output" found={run.output} />
      <Recorded title="Error" found={run.error} />
      <Recorded title="Metadata" found={run.metadata} />
      <Recorded title="Record" found={facts} />
      {run.trace_url && (
        <p>
          <a href={run.trace_url} target="_blank" rel="noopener noreferrer">
            Its trace, in the tracing tool
          </a>
        </p>
      )}
    </Card>
  );
}
