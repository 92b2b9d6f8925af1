import type { Explain } from "../api/types";
import { number, percent } from "../logic/format";
import { type Column, TableCard } from "../shell/TableCard";

const signed = (found: number | null) =>
  found === null ? "–" : `${found > 0 ? "+" : ""}${number(Math.round(found * 1000) / 1000)}`.replace("-", "−");

/** A step may make more of what came: then how many times as much. */
function passed(rate: number | null): string {
  return rate !== null && rate > 1 ? `× ${number(Number(rate.toPrecision(3)))}` : percent(rate);
}

/** The difference in what came out, split exactly over the steps: how much passed, and how what came in was mixed. */
export function ExplainFunnel({ answer }: { answer: Explain }) {
  return (
    <TableCard
      title="Which step?"
      note={`ln(out B / out A) = ${signed(answer.delta_ln_output)}, of it the input ${signed(answer.delta_ln_input)}`}
      label="Steps"
      rows={answer.funnel}
      keyOf={(one) => one.step_name}
      columns={funnelColumns(answer.mix_by)}
    />
  );
}

function funnelColumns(mixBy: Explain["mix_by"]): Column<Explain["funnel"][number]>[] {
  return [
    { head: "step", cell: (one) => one.step_name },
    { head: "passed in A", num: true, cell: (one) => passed(one.pass_a) },
    { head: "passed in B", num: true, cell: (one) => passed(one.pass_b) },
    { head: "share of the change", num: true, cell: (one) => signed(one.delta_ln_pass) },
    { head: "by the rate", num: true, cell: (one) => signed(one.rate) },
    { head: `by the mix${mixBy ? ` of ${mixBy}` : ""}`, num: true, cell: (one) => signed(one.mix) },
  ];
}
