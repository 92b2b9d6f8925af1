import { Link } from "@tanstack/react-router";
import type { Items } from "../api/types";
import { plain, plural } from "../logic/format";
import { type Column, TableCard } from "../shell/TableCard";

/** The items that carry a name; one alone needs no table. */
export function NamedTable({ answer }: { answer: Items }) {
  if (answer.items.length < 2) return null;
  return (
    <TableCard
      title="Items"
      note={plural(answer.items.length, "item")}
      label="Items"
      most={300}
      rows={answer.items}
      keyOf={(one) => one.item_id}
      columns={NAMED_COLUMNS}
    />
  );
}

const NAMED_COLUMNS: Column<Items["items"][number]>[] = [
  {
    cell: (one) => (
      <Link to="/items" search={{ id: one.item_id }} className="link">
        {plain(one.name ?? one.item_id)}
      </Link>
    ),
  },
  { cell: (one) => <span className="mono faint">{plain(one.item_id)}</span> },
  { num: true, nowrap: true, cell: (one) => plural(one.runs, "run") },
];
