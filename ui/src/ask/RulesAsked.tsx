import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rules } from "../api/asked";
import type { RuleHealth } from "../api/types";
import { interval, number, percent, range, value } from "../logic/format";
import { called } from "./called";
import { CopyMenu } from "../shell/CopyMenu";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { Scroll } from "../shell/Scroll";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import css from "./Ask.module.css";
import { Margins } from "./Margins";

/** How each rule fares, the one to look at first on top. */
export function RulesAsked({ scope }: Asking) {
  const asked = useQuery(rules(scope));
  const answer = asked.data;
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!answer) return <Waiting />;
  return (
    <>
      <Say
        sentence={answer.sentence}
        hint={answer.without_rule.hint}
        aside={<CopyMenu {...called("rules", scope)} json={answer} />}
      >
        {answer.unknown.map((one) => (
          <p key={one.cause}>
            {one.detail} {one.hint}
          </p>
        ))}
      </Say>
      <Card label="Rules">
        <Scroll label="Rules">
          <table className="plain">
            <thead>
              <tr>
                <th>rule</th>
                <th className="num">asked</th>
                <th className="num">stopped</th>
                <th className="num">rate</th>
                <th className="num">only by it</th>
                <th>values around the limit</th>
                <th>to know</th>
              </tr>
            </thead>
            <tbody>
              {answer.rules.map((rule) => (
                <tr key={`${rule.pipeline} ${rule.step_name} ${rule.reason} ${rule.field} ${rule.op}`}>
                  <td>
                    <b>{rule.reason}</b>
                    <div className="mono">
                      {rule.field} {rule.op} {value(rule.threshold)}
                    </div>
                    <div className="faint">
                      {rule.pipeline} / {rule.step_name}
                    </div>
                  </td>
                  <td className="num">{number(rule.evaluated)}</td>
                  <td className="num">{number(rule.kills)}</td>
                  <td className="num" title={`${interval(rule.interval)} at 95 %`}>
                    {percent(rule.rate)}
                  </td>
                  <td className="num">
                    {rule.sole_kills === null
                      ? rule.sole_kills_range
                        ? range(rule.sole_kills_range)
                        : "?"
                      : number(rule.sole_kills)}
                  </td>
                  <td>
                    {rule.near_misses ? (
                      <Margins near={rule.near_misses} />
                    ) : (
                      <span className="faint">{rule.no_margin?.replaceAll("_", " ")}</span>
                    )}
                  </td>
                  <td>
                    {notes(rule).map((note) => (
                      <div key={note}>
                        <Pill tone="warn">{note}</Pill>
                      </div>
                    ))}
                    {typeof rule.threshold === "number" ? (
                      <Link
                        to="/ask"
                        search={{
                          question: "whatif",
                          pipeline: rule.pipeline,
                          reason: rule.reason,
                          step: rule.step_name,
                        }}
                        className="link"
                      >
                        what if?
                      </Link>
                    ) : null}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
        {answer.without_rule.rejections > 0 ? (
          <p className={css.note}>
            {number(answer.without_rule.rejections)} rejections were made by no recorded rule:{" "}
            {answer.without_rule.reasons
              .map((one) => `${one.reason ?? "no reason"} ${number(one.rejections)}`)
              .join(", ")}
            .
          </p>
        ) : null}
      </Card>
    </>
  );
}

function notes(rule: RuleHealth): string[] {
  const found: string[] = [];
  if (rule.never_ran) found.push("never ran");
  else if (rule.fires_never) found.push("never fired");
  if (rule.redundant_with.length > 0)
    found.push(`redundant with ${rule.redundant_with.map((one) => one.reason).join(", ")}`);
  if (rule.drift?.changed) found.push(`drifts: ${percent(rule.drift.first?.rate)} → ${percent(rule.drift.last?.rate)}`);
  if (rule.uncomparable) found.push(`${number(rule.uncomparable)} not comparable`);
  if (rule.unknown) found.push(rule.unknown.detail);
  return found;
}
