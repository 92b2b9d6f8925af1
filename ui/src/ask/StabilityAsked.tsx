import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { stability } from "../api/asked";
import { interval, number, percent } from "../logic/format";
import { summary } from "../logic/summary";
import { called } from "./called";
import { CopyMenu } from "../shell/CopyMenu";
import { Card } from "../shell/Card";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { Scroll } from "../shell/Scroll";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import css from "./Ask.module.css";
import { Fact } from "./Fact";
import { Meter } from "./Meter";

/** Whether the same input leads to the same decision, and where repeated runs part. */
export function StabilityAsked({ scope }: Asking) {
  const asked = useQuery(stability(scope));
  const answer = asked.data;
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!answer) return <Waiting />;
  return (
    <>
      <Say sentence={answer.sentence} aside={<CopyMenu {...called("stability", scope)} json={answer} />}>
        {answer.unknown.map((one) => (
          <p key={one.cause}>
            {one.detail} {one.hint}
          </p>
        ))}
      </Say>
      <div className="column">
        <Card label="In figures">
          <div className={css.answer}>
            <Fact
              figure={percent(answer.flip_rate)}
              what={`of ${number(answer.decided)} repeated inputs flip (${interval(answer.interval)})`}
            />
            <Fact figure={percent(answer.pair_flip_rate)} what="of pairs of runs of one input differ" />
            <Fact figure={percent(answer.tar)} what={`identical outputs, of ${number(answer.outputs_known)} inputs`} />
            <Fact
              figure={answer.entropy === null ? "–" : `${number(Math.round(answer.entropy * 100) / 100)} bit`}
              what="entropy of the decision"
            />
            <Fact
              figure={answer.alpha === null ? "–" : String(Math.round(answer.alpha * 1000) / 1000)}
              what="Krippendorff's alpha"
            />
          </div>
        </Card>
        {answer.entry_steps.length > 0 ? (
          <Card title="Where repeated runs part first">
            <Scroll label="Steps">
              <table className="plain">
                <thead>
                  <tr>
                    <th>step</th>
                    <th>share</th>
                    <th>reaches the decision</th>
                    <th>labels</th>
                    <th>example</th>
                  </tr>
                </thead>
                <tbody>
                  {answer.entry_steps.map((one) => (
                    <tr key={`${one.pipeline} ${one.step_name}`}>
                      <td>
                        <b>{one.step_name}</b> <span className="faint">{one.pipeline}</span>
                      </td>
                      <td className="nowrap">
                        <Meter rate={one.share} bounds={one.interval} /> {percent(one.share)}
                      </td>
                      <td className="nowrap">
                        {one.amplification === null ? (
                          "–"
                        ) : (
                          <Meter rate={one.amplification} bounds={one.amplification_interval} />
                        )}{" "}
                        {percent(one.amplification)}{" "}
                        <span className="faint">
                          {one.flipped} of {one.decided}
                        </span>
                      </td>
                      <td className="mut">
                        {Object.entries(one.labels)
                          .map(([label, n]) => `${label.replaceAll("_", " ")} ${n}`)
                          .join(", ")}
                      </td>
                      <td>
                        <Link to="/compare" search={one.example} className="link">
                          compare two
                        </Link>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
        {answer.unstable.map((one) => (
          <Card
            key={`${one.pipeline} ${one.newest}`}
            title={summary(one.input) || one.pipeline}
            note={`${one.runs} runs, ${one.decisions ?? one.outputs ?? "?"} decisions`}
          >
            <Section>
              {one.choices.map((choice) => (
                <div key={choice.examples.join()} className="row">
                  <Meter rate={choice.runs / one.runs} />
                  <span className="num">{choice.runs}×</span>
                  <span>
                    {choice.items
                      ? choice.items.map((item) => item.name ?? item.item_id).join(", ") || "nothing"
                      : "another output"}
                  </span>
                  {choice.examples.slice(0, 2).map((runId) => (
                    <Link key={runId} to="/runs/$runId" params={{ runId }} className="link mono">
                      …{runId.slice(-6)}
                    </Link>
                  ))}
                </div>
              ))}
            </Section>
          </Card>
        ))}
      </div>
    </>
  );
}
