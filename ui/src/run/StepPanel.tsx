import { Link } from "@tanstack/react-router";
import type { Step } from "../api/types";
import { duration, number } from "../logic/format";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";
import { Conservation } from "./Conservation";
import { Distribution } from "./Distribution";
import { Failed } from "./Failed";
import { Recorded } from "./Recorded";
import { RuleList } from "./RuleList";
import type { Chosen } from "./RunPage";

interface Props {
  runId: string;
  step: Step;
  colours: Map<string, string>;
  choose: (next: Chosen) => void;
}

/** One step: its rules and reasons, its settings, and what was lost. */
export function StepPanel({ runId, step, colours, choose }: Props) {
  const kind = [
    step.step_type,
    step.ended_at ? duration(step.duration_ms) : null,
    step.attempt > 1 ? `attempt ${step.attempt}` : null,
  ];
  const named = new Set(step.rules.map((rule) => rule.reason));
  const others = Object.entries(step.rejection_counts).filter(([reason]) => !named.has(reason));
  const lost = Object.entries(step.losses);
  return (
    <Card title={step.step_name} note={kind.filter(Boolean).join(" · ")} label={`Step ${step.step_name}`}>
      {step.error ? (
        <Section title="Error">
          <Failed error={step.error} />
        </Section>
      ) : null}
      {step.rules.length > 0 ? (
        <Section title="Rules, in the order they were asked">
          <RuleList step={step} colours={colours} choose={choose} />
        </Section>
      ) : null}
      {others.length > 0 ? (
        <Section title={step.rules.length > 0 ? "Reasons without a rule" : "Reasons"}>
          {others.map(([reason, n]) => (
            <div key={reason} className="row">
              <i className="swatch" style={{ background: colours.get(reason) ?? "var(--unk)" }} />
              <button
                type="button"
                className="asLink"
                onClick={() => choose({ step: step.step_id, outcome: "rejected", reason })}
              >
                {reason}
              </button>
              <span className="space" />
              {number(n)}
            </div>
          ))}
        </Section>
      ) : null}
      <Distribution key={step.step_id} runId={runId} step={step} colours={colours} />
      <Section title="Conservation">
        <Conservation step={step} />
      </Section>
      {lost.length > 0 ? (
        <Section title="Recorded, and not here">
          {lost.map(([cause, n]) => `${cause.replaceAll("_", " ")} ${number(n)}`).join(", ")}
        </Section>
      ) : null}
      {step.decisions.map((decision, at) => (
        <Section key={at} title={`Decision: ${decision.decision}`}>
          {decision.selected.length === 0 ? <span className="mut">nothing was selected </span> : null}
          {decision.selected.map((id) => (
            <Link key={id} to="/runs/$runId/item" params={{ runId }} search={{ item: id }} className="link mono">
              {id}{" "}
            </Link>
          ))}
          <span className="mut">
            {[decision.reason, decision.score === null ? null : number(decision.score)]
              .filter((one) => one !== null)
              .join(" · ")}
            {decision.alternatives.length > 0 ? ` · before ${decision.alternatives.length} named alternatives` : ""}
          </span>
        </Section>
      ))}
      <Recorded title="Config" found={step.config} />
      <Recorded title="Input" found={step.input} />
      <Recorded title="Output" found={step.output} />
      <Recorded title="Usage" found={step.usage} />
      <Recorded title="Metadata" found={step.metadata} />
    </Card>
  );
}
