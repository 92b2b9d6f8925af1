import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { diff, run } from "../api/queries";
import { summary } from "../logic/summary";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { ArrivalsCard } from "./ArrivalsCard";
import { ConfigCard } from "./ConfigCard";
import { FlipsCard } from "./FlipsCard";
import { DIFF_TONES } from "./diffTones";
import { MinimalCard } from "./MinimalCard";
import { MovesCard } from "./MovesCard";
import { PickRun } from "./PickRun";
import { SideCard } from "./SideCard";
import { StepsCard } from "./StepsCard";

/** Two runs side by side: where they part first, and what became of what. */
export function ComparePage() {
  const { a = "", b = "", isolate } = useSearch({ from: "/compare" });
  const navigate = useNavigate({ from: "/compare" });
  const asked = useQuery(diff(a, b, isolate === "true"));
  const one = useQuery({ ...run(a), enabled: a !== "" });
  const other = useQuery({ ...run(b), enabled: b !== "" });
  useTitle("Compare two runs");
  if (!a || !b)
    return (
      <PickRun
        a={a}
        b={b}
        pipeline={one.data?.pipeline ?? other.data?.pipeline}
        take={(next) => void navigate({ search: next })}
      />
    );
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  const answer = asked.data;
  if (!answer) return <Waiting lines={12} />;
  const same =
    answer.run_input === "same"
      ? "the same input"
      : answer.run_input === "other"
        ? "another input"
        : "inputs that are not known to be the same";
  const decided =
    answer.winners.a && answer.winners.b
      ? sameItems(answer.winners.a, answer.winners.b)
        ? "one decision"
        : "two decisions"
      : answer.run_output === "same"
        ? "one output"
        : "two outputs";
  return (
    <>
      <div className="crumb">
        compare
        <span className="space" />
        <CopyMenu
          api={`/diff?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`}
          python={`diff(${JSON.stringify(a)}, ${JSON.stringify(b)})`}
          json={answer}
        />
      </div>
      <h1>
        Two runs with {same}, {decided}
      </h1>
      <Say sentence={answer.sentence} unknown={answer.unknown} hint={answer.hint}>
        {answer.first_divergence ? (
          <>
            <Pill tone={DIFF_TONES[answer.first_divergence.label]}>
              {answer.first_divergence.label.replaceAll("_", " ")}
            </Pill>{" "}
            at {answer.first_divergence.step_name}
            {answer.first_effect && answer.first_effect.step_name !== answer.first_divergence.step_name
              ? `; the first effect is at ${answer.first_effect.step_name}`
              : ""}
          </>
        ) : null}
      </Say>
      <div className="two">
        <SideCard
          name="A"
          runId={a}
          side={answer.runs.a}
          title={summary(one.data?.input)}
          winners={answer.winners.a}
          output={summary(one.data?.output)}
        />
        <SideCard
          name="B"
          runId={b}
          side={answer.runs.b}
          title={summary(other.data?.input)}
          winners={answer.winners.b}
          output={summary(other.data?.output)}
        />
      </div>
      <div className="column" style={{ marginTop: 18 }}>
        <StepsCard diff={answer} />
        <ConfigCard diff={answer} />
        <MinimalCard
          diff={answer}
          asked={isolate === "true"}
          ask={() => void navigate({ search: { a, b, isolate: "true" } })}
        />
        <FlipsCard diff={answer} />
        <div className="two">
          <ArrivalsCard title="Only in A" runId={a} items={answer.departures} total={answer.totals.departures} />
          <ArrivalsCard title="Only in B" runId={b} items={answer.arrivals} total={answer.totals.arrivals} />
        </div>
        <MovesCard diff={answer} />
      </div>
    </>
  );
}

function sameItems(one: { item_id: string }[], other: { item_id: string }[]): boolean {
  const ids = new Set(one.map((item) => item.item_id));
  return one.length === other.length && other.every((item) => ids.has(item.item_id));
}
