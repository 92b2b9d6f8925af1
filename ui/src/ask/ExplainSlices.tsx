import { Link } from "@tanstack/react-router";
import type { Explain } from "../api/types";
import { interval, number, percent, plural } from "../logic/format";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Scroll } from "../shell/Scroll";
import css from "./Ask.module.css";
import { Fact } from "./Fact";

/** Parts of the rows that have the outcome more often in B, as conditions. */
export function ExplainSlices({ answer }: { answer: Explain }) {
  return (
    <>
      <Card label="In figures">
        <div className={css.answer}>
          <Fact
            figure={percent(answer.rate_a)}
            what={`of ${number(answer.n_a)} ${answer.counted} in A (${plural(answer.runs_a, "run")})`}
          />
          <Fact
            figure={percent(answer.rate_b)}
            what={`of ${number(answer.n_b)} ${answer.counted} in B (${plural(answer.runs_b, "run")})`}
          />
          <Fact figure={number(answer.tested)} what="slices tested" />
        </div>
      </Card>
      {answer.slices.length > 0 ? (
        <Card title="What B has more of" note="runs taken as wholes; false findings held at 5 %">
          <Scroll label="Slices">
            <table className="plain">
              <thead>
                <tr>
                  <th>slice</th>
                  <th className="num">in A</th>
                  <th className="num">in B</th>
                  <th className="num">times as often</th>
                  <th className="num">of the excess</th>
                  <th className="num">p</th>
                  <th>runs</th>
                </tr>
              </thead>
              <tbody>
                {answer.slices.map((one) => (
                  <tr key={one.text}>
                    <td style={{ paddingLeft: one.main ? 12 : 30 }}>
                      {one.main ? <b>{one.text}</b> : one.text}{" "}
                      {one.estimated ? <Pill tone="warn">estimated</Pill> : null}
                    </td>
                    <td className="num nowrap">{percent(one.rate_a)}</td>
                    <td className="num nowrap" title={interval(one.rate_b_interval)}>
                      {percent(one.rate_b)}
                    </td>
                    <td className="num nowrap" title={one.interval.map((bound) => number(bound)).join(" to ")}>
                      {number(one.risk_ratio)}
                    </td>
                    <td className="num nowrap">{percent(one.coverage)}</td>
                    <td className="num nowrap">{one.p_adjusted < 0.001 ? "< 0.001" : number(one.p_adjusted)}</td>
                    <td className="nowrap">
                      {one.examples.slice(0, 3).map((runId) => (
                        <Link key={runId} to="/runs/$runId" params={{ runId }} className="link mono">
                          …{runId.slice(-4)}{" "}
                        </Link>
                      ))}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        </Card>
      ) : null}
    </>
  );
}
