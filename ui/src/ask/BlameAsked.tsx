import { useQuery } from "@tanstack/react-query";
import { blame } from "../api/asked";
import type { Blame } from "../api/types";
import { interval, number, percent } from "../logic/format";
import { Blank } from "../shell/Blank";
import { CopyMenu } from "../shell/CopyMenu";
import { Lines } from "../shell/Lines";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { RunLink } from "../shell/RunLink";
import { Say } from "../shell/Say";
import { type Column, TableCard } from "../shell/TableCard";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import { called } from "./called";
import { Meter } from "./Meter";

/** For each label that says something was wrong: the steps at which one changed verdict would have mended it. */
export function BlameAsked({ scope }: Asking) {
  const asked = useQuery(blame(scope));
  const answer = asked.data;
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!answer) return <Waiting />;
  return (
    <>
      <Say sentence={answer.sentence} aside={<CopyMenu {...called("blame", scope)} json={answer} />} />
      {answer.complaints === 0 ? (
        <Blank title="No label says that something was wrong">
          <p>Say so on the page of a run, or in a terminal:</p>
          <Lines text={"dxray label RUN wrong ITEM\ndxray label RUN expected ITEM"} />
        </Blank>
      ) : null}
      <div className="column">
        <BlamedSteps answer={answer} />
        <TableCard
          title="Label by label"
          label="Labels"
          rows={answer.faults}
          keyOf={(one) => `${one.run_id} ${one.number} ${one.step_id} ${one.item_id}`}
          columns={FAULT_COLUMNS}
        />
        <TableCard
          title="Not decided"
          note="what the record does not say"
          label="Labels that are not decided"
          rows={answer.unknown}
          keyOf={(one) => `${one.run_id} ${one.number}`}
          columns={UNKNOWN_COLUMNS}
        />
      </div>
    </>
  );
}

function BlamedSteps({ answer }: { answer: Blame }) {
  return (
    <TableCard
      title="Steps"
      note={`${number(answer.explained)} of ${number(answer.complaints)} labels explained`}
      label="Steps"
      rows={answer.steps}
      keyOf={(one) => `${one.pipeline} ${one.step_name}`}
      columns={STEP_COLUMNS}
    />
  );
}

const FAULT_COLUMNS: Column<Blame["faults"][number]>[] = [
  { cell: (one) => <RunLink runId={one.run_id} step={one.step_id} /> },
  {
    cell: (one) => (
      <>
        {one.label} {one.labelled_item} <span className="mut">{one.note}</span>
      </>
    ),
  },
  {
    cell: (one) => (
      <>
        {one.step_name} <Pill tone="warn">{one.class.replaceAll("_", " ")}</Pill>{" "}
        {one.earliest ? <Pill tone="bad">earliest</Pill> : null}
      </>
    ),
  },
  { cell: (one) => one.detail },
];

const UNKNOWN_COLUMNS: Column<Blame["unknown"][number]>[] = [
  { cell: (one) => <RunLink runId={one.run_id} /> },
  { cell: (one) => `${one.label} ${one.labelled_item ?? ""}` },
  {
    cell: (one) => (
      <>
        {one.detail} <span className="mut">{one.hint}</span>
      </>
    ),
  },
];

const STEP_COLUMNS: Column<Blame["steps"][number]>[] = [
  {
    cell: (one) => (
      <>
        <b>{one.step_name}</b> <span className="faint">{one.pipeline}</span>
      </>
    ),
  },
  {
    nowrap: true,
    cell: (one) => (
      <>
        <Meter rate={one.share} bounds={one.interval} /> {percent(one.share)}{" "}
        <span className="faint">{interval(one.interval)}</span>
      </>
    ),
  },
  {
    cell: (one) =>
      Object.entries(one.classes as Record<string, number>).map(([name, n]) =>
        n > 0 ? (
          <Pill key={name} tone="warn">
            {name.replaceAll("_", " ")} {n}
          </Pill>
        ) : null,
      ),
  },
  { cell: (one) => <span className="mut">earliest in {one.earliest}</span> },
];
