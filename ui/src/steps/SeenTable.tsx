import { useMemo } from "react";
import { reasonColours } from "../logic/colours";
import { ago, duration, exactTime, number, percent, plain, plural } from "../logic/format";
import type { StepGroup, StepSeen } from "../logic/stepGroups";
import { Pill } from "../shell/Pill";
import { RunLink } from "../shell/RunLink";
import { type Column, TableCard } from "../shell/TableCard";
import { STATUS } from "../shell/tones";
import { useNow } from "../shell/useNow";
import { ReasonsBar } from "./ReasonsBar";

const SHOWN = 100;

/** One step, run by run. */
export function SeenTable({ group }: { group: StepGroup }) {
  const now = useNow(30_000);
  const colours = useMemo(() => reasonColours(group.reasons.map(([reason]) => reason)), [group]);
  const shown = group.seen.slice(0, SHOWN);
  return (
    <TableCard
      title={`${plain(group.name)}, run by run`}
      note={
        group.seen.length > SHOWN ? `the newest ${SHOWN} of ${number(group.seen.length)}` : plural(group.runs, "run")
      }
      label="Runs"
      most={520}
      rows={shown}
      keyOf={(one) => `${one.run_id} ${one.step_id}`}
      columns={seenColumns(colours, now)}
    />
  );
}

function seenColumns(colours: Map<string, string>, now: number): Column<StepSeen>[] {
  return [
    { head: "run", nowrap: true, cell: (one) => <RunLink runId={one.run_id} step={one.step_id} last={8} /> },
    {
      head: "of the run",
      cell: (one) => <Pill tone={STATUS[one.run_status] ?? "neutral"}>{one.run_status}</Pill>,
    },
    {
      head: "in → out",
      num: true,
      nowrap: true,
      cell: (one) => `${number(one.input_count)} → ${number(one.output_count)}`,
    },
    { head: "rejected", num: true, nowrap: true, cell: (one) => percent(one.rejection_rate) },
    {
      head: "reasons",
      cell: (one) => (
        <ReasonsBar
          reasons={Object.entries(one.rejection_counts).toSorted((a, b) => b[1] - a[1])}
          came={one.input_count}
          colours={colours}
          named={1}
        />
      ),
    },
    { head: "took", num: true, nowrap: true, cell: (one) => duration(one.duration_ms) },
    {
      head: "when",
      nowrap: true,
      cell: (one) => <time dateTime={one.run_started_at}>{ago(one.run_started_at, now)}</time>,
      title: (one) => exactTime(one.run_started_at),
    },
  ];
}
