import { Link } from "@tanstack/react-router";
import type { Pipeline } from "../api/types";
import { quoted } from "../logic/filter";
import { ago, exactTime, number, percent, plain } from "../logic/format";
import { type Column, TableCard } from "../shell/TableCard";
import { useNow } from "../shell/useNow";
import { Questions } from "./Questions";
import { States } from "./States";

export function PipelinesTable({ pipelines }: { pipelines: readonly Pipeline[] }) {
  const now = useNow(30_000);
  return <TableCard label="Pipelines" rows={pipelines} keyOf={(one) => one.pipeline} columns={pipelineColumns(now)} />;
}

function pipelineColumns(now: number): Column<Pipeline>[] {
  return [
    {
      head: "pipeline",
      cell: (one) => (
        <Link to="/pipelines" search={{ pipeline: one.pipeline }} className="link">
          <b>{plain(one.pipeline)}</b>
        </Link>
      ),
    },
    {
      head: "runs",
      num: true,
      cell: (one) => (
        <Link to="/runs" search={{ q: `pipeline:${quoted(one.pipeline)}` }} className="link">
          {number(one.runs)}
        </Link>
      ),
    },
    { head: "of them", cell: (one) => <States of={one} /> },
    { head: "rejects most", cell: (one) => one.worst_step?.step_name ?? <span className="faint">–</span> },
    {
      head: "mean rate",
      num: true,
      cell: (one) => percent(one.worst_step?.rejection_rate),
      title: (one) =>
        one.worst_step
          ? `at most ${percent(one.worst_step.rejection_rate_max)} over ${number(one.worst_step.over_steps)} steps`
          : undefined,
    },
    {
      head: "last run",
      nowrap: true,
      title: (one) => exactTime(one.last_run_at),
      cell: (one) =>
        one.last_run && one.last_run_at ? (
          <Link to="/runs/$runId" params={{ runId: one.last_run.run_id }} className="link">
            {ago(one.last_run_at, now)}
          </Link>
        ) : (
          "–"
        ),
    },
    { head: "questions", nowrap: true, cell: (one) => <Questions pipeline={one.pipeline} /> },
  ];
}
