import { useQuery } from "@tanstack/react-query";
import { stability } from "../api/asked";
import { interval, number, percent } from "../logic/format";
import { summary } from "../logic/summary";
import { called } from "./called";
import { CopyMenu } from "../shell/CopyMenu";
import { Card } from "../shell/Card";
import { Fact, Facts } from "../shell/Facts";
import { Problem } from "../shell/Problem";
import { RunLink } from "../shell/RunLink";
import { Say } from "../shell/Say";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import { EntrySteps } from "./EntrySteps";
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
          <Facts>
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
          </Facts>
        </Card>
        <EntrySteps steps={answer.entry_steps} />
        {answer.unstable.map((one) => (
          <Card
            key={`${one.pipeline} ${one.newest}`}
            title={summary(one.input) || one.pipeline}
            note={`${one.runs} runs, ${one.decisions ?? one.outputs ?? "?"} decisions`}
            aside={
              <span className="mut">
                {one.pipeline}, newest <RunLink runId={one.newest} />
              </span>
            }
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
                    <RunLink key={runId} runId={runId} />
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
