import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { funnel, run } from "../api/queries";
import { reasonColours } from "../logic/colours";
import { summary } from "../logic/summary";
import { Problem } from "../shell/Problem";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { FunnelCard } from "./FunnelCard";
import { ItemsCard } from "./ItemsCard";
import { LabelsCard } from "./LabelsCard";
import { RunAbout } from "./RunAbout";
import { RunHeader } from "./RunHeader";
import { RunSay } from "./RunSay";
import { StepPanel } from "./StepPanel";

export interface Chosen {
  step?: string | undefined;
  outcome?: string | undefined;
  reason?: string | undefined;
  find?: string | undefined;
}

export function RunPage() {
  const { runId } = useParams({ from: "/runs/$runId" });
  const search = useSearch({ from: "/runs/$runId" });
  const navigate = useNavigate({ from: "/runs/$runId" });
  const whole = useQuery(run(runId));
  const went = useQuery(funnel(runId));
  const about = whole.data;
  useTitle(about ? `${summary(about.input) || runId} → ${summary(about.output) || about.status}` : runId);
  const colours = useMemo(
    () => reasonColours(went.data?.steps.flatMap((step) => step.reasons.map((one) => one.reason)) ?? []),
    [went.data],
  );

  if (whole.error || went.error)
    return <Problem error={whole.error ?? went.error} again={() => void (whole.refetch(), went.refetch())} />;
  if (!about || !went.data) return <Waiting lines={12} />;

  const fallback = went.data.loses_most?.step_id ?? about.steps.at(-1)?.step_id;
  const step =
    about.steps.find((one) => one.step_id === search.step) ?? about.steps.find((one) => one.step_id === fallback);
  function choose(next: Chosen) {
    void navigate({ search: next, replace: true, resetScroll: false });
  }

  return (
    <>
      <RunHeader run={about} funnel={went.data} />
      <RunSay run={about} funnel={went.data} />
      <div className="grid">
        <div className="column">
          <FunnelCard
            funnel={went.data}
            run={about}
            colours={colours}
            chosen={{ ...search, step: step?.step_id }}
            choose={choose}
          />
          {step ? (
            <ItemsCard
              key={step.step_id}
              runId={runId}
              step={step}
              winners={went.data.winners}
              colours={colours}
              chosen={search}
              choose={choose}
            />
          ) : null}
        </div>
        <div className="column">
          {step ? <StepPanel runId={runId} step={step} colours={colours} choose={choose} /> : null}
          <LabelsCard runId={runId} />
          <RunAbout run={about} />
        </div>
      </div>
    </>
  );
}
