import { Link } from "@tanstack/react-router";
import type { Whatif } from "../api/types";
import { plain, value } from "../logic/format";
import { Pill } from "../shell/Pill";
import { type Column, TableCard } from "../shell/TableCard";
import { EXACTNESS } from "../shell/tones";

/** Items that another limit would decide otherwise. */
export function Flipped({ answer }: { answer: Whatif }) {
  return (
    <TableCard
      title="Some items that flip"
      note={answer.examples.length === 0 ? "none" : null}
      label="Items that flip"
      most={300}
      rows={answer.examples}
      keyOf={(one) => `${one.run_id} ${one.item_id}`}
      columns={FLIPPED_COLUMNS}
    />
  );
}

const FLIPPED_COLUMNS: Column<Whatif["examples"][number]>[] = [
  {
    cell: (one) => (
      <Link to="/runs/$runId/item" params={{ runId: one.run_id }} search={{ item: one.item_id }} className="link">
        {plain(one.name ?? one.item_id)}
      </Link>
    ),
  },
  { cell: (one) => `${one.field} ${value(one.observed)}` },
  {
    cell: (one) => (
      <>
        <Pill tone={EXACTNESS[one.exactness] ?? "neutral"}>
          {one.exactness === "certain" ? "" : "perhaps "}
          {one.now}
        </Pill>
        {one.then ? <span className="mut"> then {one.then}</span> : null}
      </>
    ),
  },
];
