import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Step, Stop, Why } from "../api/types";
import { number } from "../logic/format";
import { run } from "../api/queries";
import { standing } from "../logic/summary";
import { Card } from "../shell/Card";
import { Evidence } from "./Evidence";
import css from "./Journey.module.css";
import { MarginBar } from "./MarginBar";
import { PartsBar } from "./PartsBar";
import { RankLine } from "./RankLine";

const DROPPED = new Set(["rejected", "outranked", "lost"]);

/** The item's way through the steps, down to the one that decided. */
export function Journey({ why }: { why: Why }) {
  const [, ...ancestors] = why.lineage;
  const whole = useQuery(run(why.run_id));
  const steps = standing(whole.data?.steps ?? []);
  const decided = steps.find((step) => step.step_id === why.step_id);
  const missed = why.verdict === "rejected" && decided ? after(steps, decided.step_id) : [];
  return (
    <Card title="Journey" note={why.journey.length === 0 ? "no event of this run names it" : null}>
      <ol className={css.journey}>
        {ancestors.toReversed().map((one) => (
          <li key={one.item_id} className={css.from}>
            <h3>
              <Link
                to="/runs/$runId/item"
                params={{ runId: why.run_id }}
                search={{ item: one.item_id }}
                className="link"
              >
                {one.name ?? one.item_id}
              </Link>{" "}
              <small>{one.step_name}</small>
            </h3>
          </li>
        ))}
        {why.journey.map((stop, at) => (
          <StopLine
            key={`${stop.step_id} ${stop.attempt} ${at}`}
            why={why}
            stop={stop}
            last={at === why.journey.length - 1}
          />
        ))}
        {why.lost_at ? (
          <li className={`${css.no} ${css.end}`}>
            <h3>
              lost on the way <small>after {why.lost_at.step_name}, without a word</small>
            </h3>
          </li>
        ) : null}
        {why.verdict === "unknown" || why.verdict === "interrupted" ? (
          <li className={`${css.unknown} ${css.end}`}>
            <h3>
              {why.verdict} <small>{why.unknown?.detail}</small>
            </h3>
          </li>
        ) : null}
      </ol>
      {missed.length > 0 ? (
        <p className={css.missed}>{missed.map((step) => step.step_name).join(", ")}: never reached</p>
      ) : null}
    </Card>
  );
}

/** The steps that only get what this one lets through: what it rejected certainly never came there. */
function after(steps: Step[], stepId: string): Step[] {
  const reached = new Set([stepId]);
  const found: Step[] = [];
  for (const step of steps) {
    if (step.after.length > 0 && step.complete && step.after.every((one) => reached.has(one))) {
      reached.add(step.step_id);
      found.push(step);
    }
  }
  return found;
}

function StopLine({ why, stop, last }: { why: Why; stop: Stop; last: boolean }) {
  const decided = stop.step_id === why.step_id && last;
  const dropped = DROPPED.has(stop.outcome ?? "");
  const kind = stop.outcome === "selected" ? css.selected : dropped ? css.no : "";
  const left = why.not_evaluated.find((one) => one.step_id === stop.step_id);
  return (
    <li className={`${kind} ${last ? css.end : ""} ${stop.superseded ? css.superseded : ""}`}>
      <h3>
        {[stop.outcome ?? "observed", stop.reason].filter(Boolean).join(": ")}{" "}
        <small>
          <Link
            to="/runs/$runId"
            params={{ runId: why.run_id }}
            search={{ step: stop.step_id, find: why.item_id }}
            className="link"
          >
            {stop.step_name}
          </Link>
          {stop.step_type ? ` · ${stop.step_type}` : ""}
          {stop.by === "code" ? "" : ` · by ${stop.by}`}
          {stop.attempt > 1 ? ` · attempt ${stop.attempt}` : ""}
          {stop.superseded ? " · superseded by a later attempt" : ""}
          {stop.score === null ? "" : ` · score ${number(stop.score)}`}
        </small>
      </h3>
      {decided && why.predicate ? <MarginBar predicate={why.predicate} /> : null}
      {decided && (why.rank ?? why.rank_at_least) !== null ? <RankLine why={why} /> : null}
      {stop.parts ? <PartsBar parts={stop.parts} /> : null}
      <Evidence evidence={stop.evidence} state={stop.evidence_state} />
      {left ? (
        <p className="mut">
          {(left.rules as { field: string; op: string; threshold: unknown }[])
            .map((rule) => `${rule.field} ${rule.op} ${String(rule.threshold)}`)
            .join(" and ")}{" "}
          <b>not evaluated</b> for it
        </p>
      ) : null}
      {decided && why.also_failed.length > 0 ? (
        <p className="mut">
          It also failed {why.also_failed.map((one) => `${one.field} ${one.op} ${String(one.threshold)}`).join(", ")}.
        </p>
      ) : null}
    </li>
  );
}
