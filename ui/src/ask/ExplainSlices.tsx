import type { Explain, Slice } from "../api/types";
import { interval, number, percent, plural } from "../logic/format";
import { Card } from "../shell/Card";
import { Fact, Facts } from "../shell/Facts";
import { Pill } from "../shell/Pill";
import { RunLink } from "../shell/RunLink";
import { type Column, TableCard } from "../shell/TableCard";

/** Parts of the rows that have the outcome more often in B, as conditions. */
export function ExplainSlices({ answer }: { answer: Explain }) {
  return (
    <>
      <Card label="In figures">
        <Facts>
          <Fact
            figure={percent(answer.rate_a)}
            what={`of ${number(answer.n_a)} ${answer.counted} in A (${plural(answer.runs_a, "run")})`}
          />
          <Fact
            figure={percent(answer.rate_b)}
            what={`of ${number(answer.n_b)} ${answer.counted} in B (${plural(answer.runs_b, "run")})`}
          />
          <Fact figure={number(answer.tested)} what="slices tested" />
        </Facts>
      </Card>
      <TableCard
        title="What B has more of"
        note="runs taken as wholes; false findings held at 5 %"
        label="Slices"
        rows={answer.slices}
        keyOf={(one) => one.text}
        columns={SLICE_COLUMNS}
      />
    </>
  );
}

const SLICE_COLUMNS: Column<Slice>[] = [
  {
    head: "slice",
    cell: (one) => (
      <div style={{ paddingLeft: one.main ? 0 : 18 }}>
        {one.main ? <b>{one.text}</b> : one.text} {one.estimated ? <Pill tone="warn">estimated</Pill> : null}
      </div>
    ),
  },
  { head: "in A", num: true, nowrap: true, cell: (one) => percent(one.rate_a) },
  {
    head: "in B",
    num: true,
    nowrap: true,
    cell: (one) => percent(one.rate_b),
    title: (one) => interval(one.rate_b_interval),
  },
  {
    head: "times as often",
    num: true,
    nowrap: true,
    cell: (one) => number(one.risk_ratio),
    title: (one) => one.interval.map((bound) => number(bound)).join(" to "),
  },
  { head: "of the excess", num: true, nowrap: true, cell: (one) => percent(one.coverage) },
  {
    head: "p",
    num: true,
    nowrap: true,
    cell: (one) => (one.p_adjusted < 0.001 ? "< 0.001" : number(one.p_adjusted)),
  },
  {
    head: "runs",
    nowrap: true,
    cell: (one) =>
      one.examples.slice(0, 3).map((runId) => (
        <span key={runId}>
          <RunLink runId={runId} last={4} />{" "}
        </span>
      )),
  },
];
