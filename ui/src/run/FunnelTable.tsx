import type { Funnel } from "../api/types";
import { number, percent } from "../logic/format";
import type { Chosen } from "./RunPage";
import { Scroll } from "../shell/Scroll";

interface Props {
  funnel: Funnel;
  chosen: Chosen;
  choose: (next: Chosen) => void;
}

/** The funnel in numbers: in + produced = the outcomes + unaccounted, and what was lost on the way. */
export function FunnelTable({ funnel, chosen, choose }: Props) {
  return (
    <Scroll label="The funnel in numbers">
      <table className="plain">
        <thead>
          <tr>
            {[
              "step",
              "in",
              "produced",
              "accepted",
              "rejected",
              "selected",
              "outranked",
              "merged",
              "expanded",
              "unaccounted",
              "lost before",
            ].map((name, at) => (
              <th key={name} className={at ? "num" : ""}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {funnel.steps.map((step) => {
            const lost = step.edges.map((edge) => edge.lost_between);
            const before = lost.includes(null) ? null : lost.reduce<number>((sum, one) => sum + (one ?? 0), 0);
            return (
              <tr key={step.step_id} className={chosen.step === step.step_id ? "on" : ""}>
                <td>
                  <button type="button" className="asLink" onClick={() => choose({ step: step.step_id })}>
                    {step.step_name}
                  </button>{" "}
                  <span className="faint">
                    {step.step_type}
                    {step.superseded ? ` · attempt ${step.attempt}, superseded` : ""}
                  </span>
                </td>
                <td className="num">{number(step.in)}</td>
                <td className="num">{number(step.produced)}</td>
                <td className="num">{number(step.accepted + step.accepted_by_count)}</td>
                <td
                  className="num"
                  title={step.in ? percent((step.rejected + step.rejected_by_count) / step.in) : undefined}
                >
                  {number(step.rejected + step.rejected_by_count)}
                </td>
                <td className="num">{number(step.selected)}</td>
                <td className="num">{number(step.outranked)}</td>
                <td className="num">{number(step.merged)}</td>
                <td className="num">{number(step.consumed)}</td>
                <td className="num">
                  {step.unaccounted === null ? <span title="not known">?</span> : number(step.unaccounted)}
                </td>
                <td className="num">
                  {step.edges.length === 0 ? "–" : before === null ? <span title="not known">?</span> : number(before)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}
