import { Link, useParams } from "@tanstack/react-router";
import type { Step } from "../api/types";
import { number, value } from "../logic/format";
import { Pill } from "../shell/Pill";
import css from "./RuleList.module.css";
import type { Chosen } from "./RunPage";

interface Props {
  step: Step;
  colours: Map<string, string>;
  choose: (next: Chosen) => void;
}

/** Each rule with its limit, how many items it stopped, and on how many it ran. */
export function RuleList({ step, colours, choose }: Props) {
  const { runId } = useParams({ from: "/runs/$runId" });
  const came = step.counts.in ?? step.input_count;
  return (
    <ul className={css.rules}>
      {step.rules.map((rule) => {
        const short = rule.evaluated !== null && came !== null && rule.evaluated < came;
        return (
          <li key={`${rule.reason} ${rule.field} ${rule.op}`}>
            <span>
              <i className="swatch" style={{ background: colours.get(rule.reason) ?? "var(--unk)" }} />
              <button
                type="button"
                className="asLink"
                onClick={() => choose({ step: step.step_id, outcome: "rejected", reason: rule.reason })}
              >
                {rule.reason}
              </button>
            </span>
            <b className="num">{number(rule.failed)}</b>
            <span className={css.said}>
              <span className="mut">
                {rule.field} {rule.op} {value(rule.threshold)}
              </span>
              <Link
                className="link"
                to="/ask"
                search={{ question: "whatif", q: `run_id:${runId}`, reason: rule.reason, step: step.step_name }}
              >
                what if?
              </Link>
              <span className="space" />
              {rule.evaluated === null ? (
                <Pill>not said how often</Pill>
              ) : short ? (
                <Pill tone="warn">
                  ran on {number(rule.evaluated)} of {number(came)}
                </Pill>
              ) : rule.failed === 0 ? (
                <Pill>never fired here</Pill>
              ) : (
                <Pill>ran on all</Pill>
              )}
              {rule.uncomparable ? (
                <Pill tone="warn" title="None, NaN or a value that cannot be compared">
                  {number(rule.uncomparable)} not comparable
                </Pill>
              ) : null}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
