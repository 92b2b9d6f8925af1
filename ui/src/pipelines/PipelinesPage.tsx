import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { pipelines } from "../api/queries";
import { ago, exactTime, number, percent } from "../logic/format";
import { quoted } from "../logic/filter";
import { FirstSteps } from "../runs/FirstSteps";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { STATUS } from "../shell/tones";
import { Scroll } from "../shell/Scroll";
import { useNow } from "../shell/useNow";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";

const STATES = ["running", "waiting", "failed", "abandoned"] as const;
const QUESTIONS = ["whatif", "rules", "stability", "blame", "explain"] as const;

/** The pipelines with their health. */
export function PipelinesPage() {
  useTitle("Pipelines");
  const now = useNow(30_000);
  const asked = useQuery({ ...pipelines, refetchInterval: 10_000 });
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!asked.data) return <Waiting />;
  if (asked.data.pipelines.length === 0) return <FirstSteps q="" clear={() => undefined} />;
  return (
    <>
      <h1 style={{ margin: "18px 0 14px" }}>Pipelines</h1>
      <Card label="Pipelines">
        <Scroll label="Pipelines">
          <table className="plain">
            <thead>
              <tr>
                <th>pipeline</th>
                <th className="num">runs</th>
                <th>of them</th>
                <th>rejects most</th>
                <th className="num">mean rate</th>
                <th>last run</th>
                <th>questions</th>
              </tr>
            </thead>
            <tbody>
              {asked.data.pipelines.map((one) => (
                <tr key={one.pipeline}>
                  <td>
                    <Link to="/runs" search={{ q: `pipeline:${quoted(one.pipeline)}` }} className="link">
                      <b>{one.pipeline}</b>
                    </Link>
                  </td>
                  <td className="num">{number(one.runs)}</td>
                  <td>
                    {STATES.map((state) =>
                      one[state] > 0 ? (
                        <Link key={state} to="/runs" search={{ q: `pipeline:${quoted(one.pipeline)} status:${state}` }}>
                          <Pill tone={STATUS[state] ?? "neutral"}>
                            {number(one[state])} {state}
                          </Pill>{" "}
                        </Link>
                      ) : null,
                    )}
                    {one.completed === one.runs ? <span className="mut">all completed</span> : null}
                  </td>
                  <td>{one.worst_step?.step_name ?? <span className="faint">–</span>}</td>
                  <td
                    className="num"
                    title={
                      one.worst_step
                        ? `at most ${percent(one.worst_step.rejection_rate_max)} over ${number(one.worst_step.over_steps)} steps`
                        : undefined
                    }
                  >
                    {percent(one.worst_step?.rejection_rate)}
                  </td>
                  <td className="nowrap">
                    {one.last_run && one.last_run_at ? (
                      <Link
                        to="/runs/$runId"
                        params={{ runId: one.last_run.run_id }}
                        className="link"
                        title={exactTime(one.last_run_at)}
                      >
                        {ago(one.last_run_at, now)}
                      </Link>
                    ) : (
                      "–"
                    )}
                  </td>
                  <td className="nowrap">
                    {QUESTIONS.map((question) => (
                      <Link
                        key={question}
                        to="/ask"
                        search={{ question, pipeline: one.pipeline }}
                        className="link"
                        style={{ marginRight: 10 }}
                      >
                        {question === "whatif" ? "what-if" : question}
                      </Link>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      </Card>
    </>
  );
}
