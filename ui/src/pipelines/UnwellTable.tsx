import type { ReactNode } from "react";
import type { RunRow } from "../api/types";
import { ago, duration, exactTime, number } from "../logic/format";
import { Pill } from "../shell/Pill";
import { RunLink } from "../shell/RunLink";
import { type Column, TableCard } from "../shell/TableCard";
import { STATUS } from "../shell/tones";

const SHOWN = 20;

/** Runs that failed, were abandoned, or lost something on the way. */
export function UnwellTable({ rows, now, note }: { rows: readonly RunRow[]; now: number; note: ReactNode }) {
  return (
    <TableCard
      title="Runs that failed, were abandoned or lost something"
      note={rows.length > SHOWN ? `the newest ${SHOWN} of ${number(rows.length)}` : note}
      label="Runs"
      rows={rows.slice(0, SHOWN)}
      keyOf={(one) => one.run_id}
      columns={unwellColumns(now)}
    />
  );
}

function unwellColumns(now: number): Column<RunRow>[] {
  return [
    { head: "run", nowrap: true, cell: (one) => <RunLink runId={one.run_id} last={8} /> },
    { head: "status", cell: (one) => <Pill tone={STATUS[one.status] ?? "neutral"}>{one.status}</Pill> },
    {
      head: "lost",
      cell: (one) =>
        Object.entries(one.losses)
          .map(([cause, n]) => `${cause.replaceAll("_", " ")} ${number(n)}`)
          .join(", ") || <span className="faint">nothing</span>,
    },
    { head: "took", num: true, nowrap: true, cell: (one) => duration(one.duration_ms) },
    {
      head: "when",
      nowrap: true,
      cell: (one) => ago(one.started_at, now),
      title: (one) => exactTime(one.started_at),
    },
  ];
}
