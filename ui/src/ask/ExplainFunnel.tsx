import type { Explain } from "../api/types";
import { number, percent } from "../logic/format";
import { Card } from "../shell/Card";
import { Scroll } from "../shell/Scroll";

const signed = (found: number | null) =>
  found === null ? "–" : `${found > 0 ? "+" : ""}${number(Math.round(found * 1000) / 1000)}`.replace("-", "−");

/** A step may make more of what came: then how many times as much. */
function passed(rate: number | null): string {
  return rate !== null && rate > 1 ? `× ${number(Number(rate.toPrecision(3)))}` : percent(rate);
}

/** The difference in what came out, split exactly over the steps: how much passed, and how what came in was mixed. */
export function ExplainFunnel({ answer }: { answer: Explain }) {
  if (answer.funnel.length === 0) return null;
  return (
    <Card
      title="Which step?"
      note={`ln(out B / out A) = ${signed(answer.delta_ln_output)}, of it the input ${signed(answer.delta_ln_input)}`}
    >
      <Scroll label="Steps">
        <table className="plain">
          <thead>
            <tr>
              <th>step</th>
              <th className="num">passed in A</th>
              <th className="num">passed in B</th>
              <th className="num">share of the change</th>
              <th className="num">by the rate</th>
              <th className="num">by the mix{answer.mix_by ? ` of ${answer.mix_by}` : ""}</th>
            </tr>
          </thead>
          <tbody>
            {answer.funnel.map((one) => (
              <tr key={one.step_name}>
                <td>{one.step_name}</td>
                <td className="num">{passed(one.pass_a)}</td>
                <td className="num">{passed(one.pass_b)}</td>
                <td className="num">{signed(one.delta_ln_pass)}</td>
                <td className="num">{signed(one.rate)}</td>
                <td className="num">{signed(one.mix)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}
