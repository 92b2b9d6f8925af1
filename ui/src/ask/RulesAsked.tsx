import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rules } from "../api/asked";
import type { RuleHealth, Rules } from "../api/types";
import { interval, number, percent, plural, range, value } from "../logic/format";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { type Column, TableCard } from "../shell/TableCard";
import { Waiting } from "../shell/Waiting";
import type { Asking } from "./asking";
import css from "./Ask.module.css";
import { called } from "./called";
import { Margins } from "./Margins";

const COLUMNS: Column<RuleHealth>[] = [
  {
    head: "rule",
    cell: (rule) => (
      <>
        <b>{rule.reason}</b>
        <div className="mono">
          {rule.field} {rule.op} {rule.thresholds > 1 ? "…" : value(rule.threshold)}
        </div>
        {rule.thresholds > 1 ? (
          <div className="faint">
            {number(rule.thresholds)} limits over these runs; the newest <span className="mono">{limit(rule)}</span>
          </div>
        ) : null}
        <div className="faint">
          {rule.pipeline} / {rule.step_name}
        </div>
      </>
    ),
  },
  { head: "asked", num: true, cell: (rule) => number(rule.evaluated) },
  { head: "stopped", num: true, cell: (rule) => number(rule.kills) },
  {
    head: "rate",
    num: true,
    cell: (rule) => percent(rule.rate),
    title: (rule) => `${interval(rule.interval)} at 95 %`,
  },
  { head: "only by it", num: true, cell: sole },
  {
    head: "values around the limit",
    cell: (rule) =>
      rule.near_misses ? (
        <Margins near={rule.near_misses} />
      ) : (
        <span className="faint">{rule.no_margin?.replaceAll("_", " ")}</span>
      ),
  },
  {
    head: "to know",
    cell: (rule) => (
      <>
        {notes(rule).map((note) => (
          <div key={note}>
            <Pill tone="warn">{note}</Pill>
          </div>
        ))}
        <Link
          to="/ask"
          search={{ question: "whatif", pipeline: rule.pipeline, reason: rule.reason, step: rule.step_name }}
          className="link"
        >
          what if?
        </Link>
      </>
    ),
  },
];

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
        <Hardest rules={answer.rules} />
        {answer.unknown.map((one) => (
          <p key={one.cause}>
            {one.detail} {one.hint}
          </p>
        ))}
      </Say>
      <TableCard
        label="Rules"
        rows={answer.rules}
        keyOf={(rule) => `${rule.pipeline} ${rule.step_name} ${rule.reason} ${rule.field} ${rule.op}`}
        columns={COLUMNS}
      >
        {answer.without_rule.rejections > 0 ? <Unruled found={answer.without_rule} /> : null}
      </TableCard>
    </>
  );
}

const LONGEST = 60;

/** The newest limit, short: one that differs from run to run may be a long list. */
function limit(rule: RuleHealth): string {
  const text = value(rule.threshold);
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

const kills = (rule: RuleHealth) => rule.kills ?? 0;

/** Which rule stops most, apart from which is to be looked at first. */
function Hardest({ rules: all }: { rules: readonly RuleHealth[] }) {
  const [most] = all.toSorted((one, other) => kills(other) - kills(one));
  if (!most || kills(most) === 0) return null;
  return (
    <p>
      <b>{most.reason}</b> stops most: {plural(kills(most), "item")} of {number(most.evaluated)} it was asked of (
      {percent(most.rate)}), at {most.step_name}.
    </p>
  );
}

function Unruled({ found }: { found: Rules["without_rule"] }) {
  return (
    <p className={css.note}>
      {number(found.rejections)} rejections were made by no recorded rule:{" "}
      {found.reasons.map((one) => `${one.reason ?? "no reason"} ${number(one.rejections)}`).join(", ")}.
    </p>
  );
}

function sole(rule: RuleHealth): string {
  if (rule.sole_kills !== null) return number(rule.sole_kills);
  return rule.sole_kills_range ? range(rule.sole_kills_range) : "?";
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
