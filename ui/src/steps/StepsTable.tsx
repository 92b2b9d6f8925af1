import { Link } from "@tanstack/react-router";
import { useMemo, type ReactNode } from "react";
import { reasonColours } from "../logic/colours";
import { duration, number, percent, plain, plural } from "../logic/format";
import { runsBehind } from "../logic/runsBehind";
import type { StepGroup } from "../logic/stepGroups";
import { type Column, TableCard } from "../shell/TableCard";
import { RateLine } from "./RateLine";
import { ReasonsBar } from "./ReasonsBar";
import css from "./Steps.module.css";

interface Props {
  title: ReactNode;
  note?: ReactNode;
  aside?: ReactNode;
  groups: readonly StepGroup[];
  /** The filter that found them. */
  q: string;
  /** Where all are of one pipeline, its name says nothing. */
  named?: boolean;
}

const SHOWN = 200;

/** Steps over many runs: what came and went, what was rejected and why, and how that changed. */
export function StepsTable({ title, note, aside, groups, q, named = true }: Props) {
  const colours = useMemo(
    () => reasonColours(groups.flatMap((group) => group.reasons.map(([reason]) => reason))),
    [groups],
  );
  return (
    <TableCard
      title={title}
      note={groups.length > SHOWN ? `the first ${SHOWN} of ${number(groups.length)}` : note}
      aside={aside}
      label="Steps"
      rows={groups.slice(0, SHOWN)}
      keyOf={keyOf}
      columns={groupColumns({ q, named, colours })}
    />
  );
}

const keyOf = (group: StepGroup) => JSON.stringify([group.pipeline, group.name]);

function Behind({ group, q }: { group: StepGroup; q: string }) {
  const behind = runsBehind(q, group.pipeline, group.name);
  if (behind === null) return number(group.runs);
  return (
    <Link to="/runs" search={{ q: behind }} className="link" title="The runs behind">
      {number(group.runs)}
    </Link>
  );
}

function groupColumns({
  q,
  named,
  colours,
}: {
  q: string;
  named: boolean;
  colours: Map<string, string>;
}): Column<StepGroup>[] {
  return [
    {
      head: "step",
      cell: (one) => (
        <div className={css.name}>
          <Link to="/steps" search={{ q, pipeline: one.pipeline, step: one.name }} className="link">
            <b>{plain(one.name)}</b>
          </Link>{" "}
          <span className="mut">{one.type}</span>
          {named ? <div className="faint">{plain(one.pipeline)}</div> : null}
        </div>
      ),
    },
    { head: "runs", num: true, cell: (one) => <Behind group={one} q={q} /> },
    {
      head: "in → out, all runs",
      num: true,
      nowrap: true,
      cell: (one) => (one.came === null ? "–" : `${number(one.came)} → ${number(one.left)}`),
    },
    {
      head: "rejected, mean of runs",
      num: true,
      nowrap: true,
      cell: (one) => percent(one.rate),
      title: (one) =>
        one.highest === null ? undefined : `at most ${percent(one.highest)} of ${plural(one.seen.length, "step")}`,
    },
    {
      head: "reasons, all runs",
      cell: (one) => <ReasonsBar reasons={one.reasons} came={one.came} colours={colours} />,
    },
    { head: "mean over time", cell: (one) => <RateLine points={one.overTime} /> },
    { head: "took, median", num: true, nowrap: true, cell: (one) => duration(one.durationMs) },
  ];
}
