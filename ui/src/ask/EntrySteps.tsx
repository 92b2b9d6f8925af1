import { Link } from "@tanstack/react-router";
import type { Stability } from "../api/types";
import { percent } from "../logic/format";
import { type Column, TableCard } from "../shell/TableCard";
import { Meter } from "./Meter";

/** The steps at which repeated runs part first. */
export function EntrySteps({ steps }: { steps: Stability["entry_steps"] }) {
  return (
    <TableCard
      title="Where repeated runs part first"
      label="Steps"
      rows={steps}
      keyOf={(one) => `${one.pipeline} ${one.step_name}`}
      columns={ENTRY_COLUMNS}
    />
  );
}

const ENTRY_COLUMNS: Column<Stability["entry_steps"][number]>[] = [
  {
    head: "step",
    cell: (one) => (
      <>
        <b>{one.step_name}</b> <span className="faint">{one.pipeline}</span>
      </>
    ),
  },
  {
    head: "share",
    nowrap: true,
    cell: (one) => (
      <>
        <Meter rate={one.share} bounds={one.interval} /> {percent(one.share)}
      </>
    ),
  },
  {
    head: "reaches the decision",
    nowrap: true,
    cell: (one) => (
      <>
        {one.amplification === null ? "–" : <Meter rate={one.amplification} bounds={one.amplification_interval} />}{" "}
        {percent(one.amplification)}{" "}
        <span className="faint">
          {one.flipped} of {one.decided}
        </span>
      </>
    ),
  },
  {
    head: "labels",
    cell: (one) => (
      <span className="mut">
        {Object.entries(one.labels)
          .map(([label, n]) => `${label.replaceAll("_", " ")} ${n}`)
          .join(", ")}
      </span>
    ),
  },
  {
    head: "example",
    cell: (one) => (
      <Link to="/compare" search={one.example} className="link">
        compare two
      </Link>
    ),
  },
];
