import type { Whatif } from "../api/types";
import { number, plain } from "../logic/format";
import { Pill } from "../shell/Pill";
import { RunLink } from "../shell/RunLink";
import { type Column, TableCard } from "../shell/TableCard";
import { EXACTNESS } from "../shell/tones";

type Changed = Whatif["winner_changes"][number];

/** Runs that would choose something else, or may. */
export function WinnerChanges({ answer }: { answer: Whatif }) {
  return (
    <TableCard
      title={(answer.winners_changed[0] ?? 0) > 0 ? "Whose winner changes, or may" : "Whose winner may change"}
      note={number(answer.winner_changes.length)}
      label="Runs whose winner changes"
      most={360}
      rows={answer.winner_changes}
      keyOf={(one) => one.run_id}
      columns={CHANGE_COLUMNS}
    />
  );
}

function Then({ one }: { one: Changed }) {
  if (one.to.length + one.may_win.length + one.again.length === 0) return "nothing";
  return (
    <>
      {one.to.length > 0 ? <b>{named(one.to)}</b> : null}
      {one.may_win.length > 0 ? (
        <span className="mut">
          {" "}
          perhaps {named(one.may_win.slice(0, 4))}
          {one.may_win.length > 4 ? `, or ${one.may_win.length - 4} more` : ""}
        </span>
      ) : null}
      {one.again.length > 0 ? <span className="mut"> {one.again.join(", ")} would have to run again</span> : null}
    </>
  );
}

function named(items: Changed["to"]): string {
  return items.map((one) => plain(one.name ?? one.item_id)).join(", ");
}

const CHANGE_COLUMNS: Column<Changed>[] = [
  { head: "run", cell: (one) => <RunLink runId={one.run_id} last={8} /> },
  {
    head: "how sure",
    cell: (one) => <Pill tone={EXACTNESS[one.exactness] ?? "neutral"}>{one.exactness.replaceAll("_", " ")}</Pill>,
  },
  { head: "chose", cell: (one) => named(one.from) || "nothing" },
  { head: "would choose", cell: (one) => <Then one={one} /> },
];
