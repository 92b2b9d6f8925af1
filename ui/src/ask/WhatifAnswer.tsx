import { Link } from "@tanstack/react-router";
import type { Change, Scope } from "../api/asked";
import type { Whatif } from "../api/types";
import { number, plural, range, value } from "../logic/format";
import { Card } from "../shell/Card";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { Say } from "../shell/Say";
import { EXACTNESS } from "../shell/tones";
import { Scroll } from "../shell/Scroll";
import css from "./Ask.module.css";
import { Fact } from "./Fact";

const MEANS = {
  certain: "certain",
  bounded: "bounded: only limits are known",
  replay_needed: "replay needed: a step has to run again",
};

interface Props {
  answer: Whatif;
  stale: boolean;
  scope: Scope;
  change: Change;
}

export function WhatifAnswer({ answer, stale, scope, change }: Props) {
  const narrowed = Object.fromEntries(Object.entries(scope).filter(([, text]) => text));
  const body = { ...narrowed, changes: [change] };
  const keywords = Object.entries(narrowed).map(([name, text]) => `, ${name}=${JSON.stringify(text)}`);
  const python = `whatif(${JSON.stringify([change])}${keywords.join("")})`;
  return (
    <div style={{ opacity: stale ? 0.6 : 1 }} aria-busy={stale}>
      <Say sentence={answer.sentence} aside={<CopyMenu api="/whatif" body={body} python={python} json={answer} />}>
        <Pill tone={EXACTNESS[answer.exactness] ?? "neutral"}>{MEANS[answer.exactness]}</Pill>
        {answer.unknown.map((one) => (
          <p key={`${one.cause} ${one.step_name}`}>
            {one.step_name}: {one.detail} <span className="faint">{one.hint}</span> ({plural(one.runs, "run")})
          </p>
        ))}
      </Say>
      <div className="column">
        <Card label="In figures">
          <div className={css.answer}>
            <Fact figure={range(answer.flipped)} what={`of ${number(answer.items)} items flip`} />
            <Fact figure={range(answer.newly_kept)} what="newly kept" />
            <Fact figure={range(answer.newly_rejected)} what="newly rejected" />
            <Fact figure={range(answer.runs_affected)} what={`of ${plural(answer.replayed, "run")} affected`} />
            <Fact
              figure={range(answer.winners_changed)}
              what={`of ${number(answer.runs_with_winner)} winners change`}
            />
          </div>
          {answer.not_looked_at > 0 ? (
            <p className={css.note}>
              {plural(answer.not_looked_at, "older run")} were not replayed; the curve is over all.
            </p>
          ) : null}
        </Card>
        {answer.winner_changes.length > 0 ? (
          <Card
            title={(answer.winners_changed[0] ?? 0) > 0 ? "Whose winner changes, or may" : "Whose winner may change"}
            note={number(answer.winner_changes.length)}
          >
            <Scroll label="Items and runs" most={360}>
              <table className="plain">
                <thead>
                  <tr>
                    <th>run</th>
                    <th>how sure</th>
                    <th>chose</th>
                    <th>would choose</th>
                  </tr>
                </thead>
                <tbody>
                  {answer.winner_changes.map((one) => (
                    <tr key={one.run_id}>
                      <td>
                        <Link to="/runs/$runId" params={{ runId: one.run_id }} className="link mono">
                          …{one.run_id.slice(-8)}
                        </Link>
                      </td>
                      <td>
                        <Pill tone={EXACTNESS[one.exactness] ?? "neutral"}>{one.exactness.replaceAll("_", " ")}</Pill>
                      </td>
                      <td>{named(one.from) || "nothing"}</td>
                      <td>
                        {one.to.length > 0 ? <b>{named(one.to)}</b> : null}
                        {one.may_win.length > 0 ? (
                          <span className="mut">
                            {" "}
                            perhaps {named(one.may_win.slice(0, 4))}
                            {one.may_win.length > 4 ? `, or ${one.may_win.length - 4} more` : ""}
                          </span>
                        ) : null}
                        {one.again.length > 0 ? (
                          <span className="mut"> {one.again.join(", ")} would have to run again</span>
                        ) : null}
                        {one.to.length + one.may_win.length + one.again.length === 0 ? "nothing" : null}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        ) : null}
        <div className="two">
          <Card title="Reasons, before and after">
            <table className="plain">
              <tbody>
                {answer.by_reason_after.map((one) => (
                  <tr key={one.reason ?? ""}>
                    <td>{one.reason ?? <span className="mut">not rejected</span>}</td>
                    <td className="num">{number(one.before)}</td>
                    <td className="num">→ {range(one.after)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Card>
          <Card title="Some items that flip" note={answer.examples.length === 0 ? "none" : null}>
            <Scroll label="Items and runs" most={300}>
              <table className="plain">
                <tbody>
                  {answer.examples.map((one) => (
                    <tr key={`${one.run_id} ${one.item_id}`}>
                      <td>
                        <Link
                          to="/runs/$runId/item"
                          params={{ runId: one.run_id }}
                          search={{ item: one.item_id }}
                          className="link"
                        >
                          {one.name ?? one.item_id}
                        </Link>
                      </td>
                      <td>
                        {one.field} {value(one.observed)}
                      </td>
                      <td>
                        <Pill tone={EXACTNESS[one.exactness] ?? "neutral"}>
                          {one.exactness === "certain" ? "" : "perhaps "}
                          {one.now}
                        </Pill>
                        {one.then ? <span className="mut"> then {one.then}</span> : null}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </Card>
        </div>
      </div>
    </div>
  );
}

function named(items: Whatif["winner_changes"][number]["to"]): string {
  return items.map((one) => one.name ?? one.item_id).join(", ");
}
