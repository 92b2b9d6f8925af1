import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { blame } from "../api/asked";
import { interval, number, percent } from "../logic/format";
import { Blank } from "../shell/Blank";
import { called } from "./called";
import { CopyMenu } from "../shell/CopyMenu";
import { Card } from "../shell/Card";
import { Lines } from "../shell/Lines";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { Scroll } from "../shell/Scroll";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
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
        {answer.steps.length > 0 ? (
          <Card title="Steps" note={`${number(answer.explained)} of ${number(answer.complaints)} labels explained`}>
            <table className="plain">
              <tbody>
                {answer.steps.map((one) => (
                  <tr key={`${one.pipeline} ${one.step_name}`}>
                    <td>
                      <b>{one.step_name}</b> <span className="faint">{one.pipeline}</span>
                    </td>
                    <td className="nowrap">
                      <Meter rate={one.share} bounds={one.interval} /> {percent(one.share)}{" "}
                      <span className="faint">{interval(one.interval)}</span>
                    </td>
                    <td>
                      {Object.entries(one.classes as Record<string, number>).map(([name, n]) =>
                        n > 0 ? (
                          <Pill key={name} tone="warn">
                            {name.replaceAll("_", " ")} {n}
                          </Pill>
                        ) : null,
                      )}
                    </td>
                    <td className="mut">earliest in {one.earliest}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Card>
        ) : null}
        {answer.faults.length > 0 ? (
          <Card title="Label by label">
            <Scroll label="Labels">
              <table className="plain">
                <tbody>
                  {answer.faults.map((one) => (
                    <tr key={`${one.run_id} ${one.number} ${one.step_id} ${one.item_id}`}>
                      <td>
                        <Link
                          to="/runs/$runId"
                          params={{ runId: one.run_id }}
                          search={{ step: one.step_id }}
                          className="link mono"
                        >
                          …{one.run_id.slice(-6)}
                        </Link>
                      </td>
                      <td>
                        {one.label} {one.labelled_item} <span className="mut">{one.note}</span>
                      </td>
                      <td>
                        {one.step_name} <Pill tone="warn">{one.class.replaceAll("_", " ")}</Pill>{" "}
                        {one.earliest ? <Pill tone="bad">earliest</Pill> : null}
                      </td>
                      <td>{one.detail}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
        {answer.unknown.length > 0 ? (
          <Card title="Not decided" note="what the record does not say">
            <Scroll label="Labels">
              <table className="plain">
                <tbody>
                  {answer.unknown.map((one) => (
                    <tr key={`${one.run_id} ${one.number}`}>
                      <td>
                        <Link to="/runs/$runId" params={{ runId: one.run_id }} className="link mono">
                          …{one.run_id.slice(-6)}
                        </Link>
                      </td>
                      <td>
                        {one.label} {one.labelled_item}
                      </td>
                      <td>
                        {one.detail} <span className="mut">{one.hint}</span>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
      </div>
    </>
  );
}
