import type { Change, Scope } from "../api/asked";
import type { Whatif } from "../api/types";
import { number, plural, range } from "../logic/format";
import { Card } from "../shell/Card";
import { CopyMenu } from "../shell/CopyMenu";
import { Fact, Facts } from "../shell/Facts";
import { Pill } from "../shell/Pill";
import { Say } from "../shell/Say";
import { type Column, TableCard } from "../shell/TableCard";
import { EXACTNESS } from "../shell/tones";
import css from "./Ask.module.css";
import { Flipped } from "./Flipped";
import { WinnerChanges } from "./WinnerChanges";

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
            {one.step_name && !one.detail?.startsWith(one.step_name) ? `${one.step_name}: ` : ""}
            {one.detail} ({plural(one.runs, "run")}).
            {one.hint ? <span className="faint"> To know it: {one.hint}.</span> : null}
          </p>
        ))}
      </Say>
      <div className="column">
        <Card label="In figures">
          <Facts>
            <Fact figure={range(answer.flipped)} what={`of ${number(answer.items)} items flip`} />
            <Fact figure={range(answer.newly_kept)} what="newly kept" />
            <Fact figure={range(answer.newly_rejected)} what="newly rejected" />
            <Fact figure={range(answer.runs_affected)} what={`of ${plural(answer.replayed, "run")} affected`} />
            <Fact
              figure={range(answer.winners_changed)}
              what={`of ${number(answer.runs_with_winner)} winners change`}
            />
          </Facts>
          {answer.not_looked_at > 0 ? (
            <p className={css.note}>
              {plural(answer.not_looked_at, "older run")} were not replayed; the curve is over all.
            </p>
          ) : null}
        </Card>
        <WinnerChanges answer={answer} />
        <div className="two">
          <TableCard
            title="Reasons, before and after"
            label="Reasons"
            rows={answer.by_reason_after}
            keyOf={(one) => one.reason ?? ""}
            columns={REASON_COLUMNS}
          />
          <Flipped answer={answer} />
        </div>
      </div>
    </div>
  );
}

const REASON_COLUMNS: Column<Whatif["by_reason_after"][number]>[] = [
  { cell: (one) => one.reason ?? <span className="mut">not rejected</span> },
  { num: true, cell: (one) => number(one.before) },
  { num: true, cell: (one) => `→ ${range(one.after)}` },
];
