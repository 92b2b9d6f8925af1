import { Link } from "@tanstack/react-router";
import type { Items } from "../api/types";
import { ago, exactTime, number, plain, plural, shortId } from "../logic/format";
import { Pill } from "../shell/Pill";
import { type Column, TableCard } from "../shell/TableCard";
import { OUTCOME } from "../shell/tones";
import { useNow } from "../shell/useNow";

/** What became of an item in each run; each row leads to why. */
export function FateTable({ answer }: { answer: Items }) {
  const now = useNow(30_000);
  return (
    <TableCard
      title="In each run, newest first"
      note={
        answer.total > answer.runs.length
          ? `the first ${number(answer.runs.length)} of ${number(answer.total)}`
          : plural(answer.total, "row")
      }
      label="Fate in each run"
      most={640}
      rows={answer.runs}
      keyOf={(one) => `${one.run_id} ${one.item_id}`}
      columns={fateColumns(now)}
    />
  );
}

function fateColumns(now: number): Column<Items["runs"][number]>[] {
  return [
    {
      head: "run",
      nowrap: true,
      cell: (one) => (
        <Link
          to="/runs/$runId/item"
          params={{ runId: one.run_id }}
          search={{ item: one.item_id }}
          className="link"
          title={one.run_id}
        >
          why, in <span className="mono">{shortId(one.run_id)}</span>
        </Link>
      ),
    },
    { head: "pipeline", cell: (one) => plain(one.pipeline) },
    { head: "item", cell: (one) => plain(one.name ?? one.item_id) },
    {
      head: "last outcome",
      cell: (one) =>
        one.outcome ? (
          <Pill tone={OUTCOME[one.outcome] ?? "neutral"}>{one.outcome}</Pill>
        ) : (
          <Pill title={one.unknown?.detail}>unknown</Pill>
        ),
    },
    { head: "reason", cell: (one) => one.reason ?? <span className="faint">–</span> },
    { head: "at", cell: (one) => one.step_name },
    { head: "score", num: true, cell: (one) => number(one.score) },
    {
      head: "when",
      nowrap: true,
      cell: (one) => <span className="mut">{ago(one.started_at, now)}</span>,
      title: (one) => exactTime(one.started_at),
    },
  ];
}
