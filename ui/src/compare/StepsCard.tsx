import { Link } from "@tanstack/react-router";
import type { Diff, DiffStep } from "../api/types";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Scroll } from "../shell/Scroll";
import { DIFF_MEANS, DIFF_TONES } from "./diffTones";

const NAMED = 4;

/** The steps of both runs, each with what happened there. */
export function StepsCard({ diff }: { diff: Diff }) {
  const first = diff.first_divergence;
  return (
    <Card title="Step by step" note={`${diff.totals.steps_apart} of ${diff.totals.steps} differ`}>
      <Scroll label="Steps">
        <table className="plain">
          <thead>
            <tr>
              <th>step</th>
              <th>what happened</th>
              <th>A</th>
              <th>B</th>
              <th className="num">items that differ</th>
            </tr>
          </thead>
          <tbody>
            {diff.steps.map((step, at) => {
              const here = first !== null && step.step_id.a === first.step_id.a && step.step_id.b === first.step_id.b;
              return (
                <tr key={`${step.step_name}${at}`} className={here ? "on" : ""}>
                  <td>
                    {here ? <b>{step.step_name}</b> : step.step_name}{" "}
                    {step.occurrence > 1 ? <span className="faint">({step.occurrence})</span> : null}
                  </td>
                  <td>
                    <Pill tone={DIFF_TONES[step.label]} title={DIFF_MEANS[step.label]}>
                      {step.label.replaceAll("_", " ")}
                    </Pill>
                    {step.order_only ? <span className="mut"> only the order differs</span> : null}
                    {step.unknown ? <div className="mut">{step.unknown.detail}</div> : null}
                    {step.hint ? <div className="faint">{step.hint}</div> : null}
                  </td>
                  <Side runId={diff.a} side={step.a} only={here ? first.only_a : []} />
                  <Side runId={diff.b} side={step.b} only={here ? first.only_b : []} />
                  <td className="num nowrap">{counted(step)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}

function counted(step: DiffStep): string {
  if (!step.items) return "not known";
  const { only_a, only_b, flipped } = step.items;
  const parts = [
    only_a ? `−${number(only_a)}` : "",
    only_b ? `+${number(only_b)}` : "",
    flipped ? `${number(flipped)} flipped` : "",
  ];
  return parts.filter(Boolean).join("  ") || "0";
}

function Side({
  runId,
  side,
  only,
}: {
  runId: string;
  side: DiffStep["a"];
  only: { item_id: string; name: string | null }[];
}) {
  if (!side) return <td className="faint">not there</td>;
  return (
    <td>
      <Link to="/runs/$runId" params={{ runId }} search={{ step: side.step_id }} className="link">
        {number(side.input_count)} → {number(side.output_count)}
      </Link>
      {only.length > 0 ? (
        <>
          {" "}
          only here:{" "}
          <b style={{ color: "var(--bad)" }}>
            {only
              .slice(0, NAMED)
              .map((one) => one.name ?? one.item_id)
              .join(", ")}
            {only.length > NAMED ? `, and ${only.length - NAMED} more` : ""}
          </b>
        </>
      ) : null}
    </td>
  );
}
