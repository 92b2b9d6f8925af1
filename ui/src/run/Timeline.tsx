import { scaleLinear } from "d3-scale";
import type { Run } from "../api/types";
import { duration } from "../logic/format";
import type { Chosen } from "./RunPage";
import css from "./Timeline.module.css";

interface Props {
  run: Run;
  chosen: Chosen;
  choose: (next: Chosen) => void;
}

/** When each step ran, and how long. */
export function Timeline({ run, chosen, choose }: Props) {
  const times = run.steps.flatMap((step) => [step.started_at, step.ended_at]).filter((at) => at !== null);
  const micros = times.map((at) => instant(at));
  const start = Math.min(...micros);
  const scale = scaleLinear([start, Math.max(...micros, start + 1)], [0, 100]);
  return (
    <div className={css.lines}>
      {run.steps.map((step) => {
        const from = step.started_at ? scale(instant(step.started_at)) : 0;
        const to = step.ended_at ? scale(instant(step.ended_at)) : 100;
        return (
          <button
            key={step.step_id}
            type="button"
            className={css.line}
            aria-pressed={chosen.step === step.step_id}
            onClick={() => choose({ step: step.step_id })}
          >
            <span className="cut">{step.step_name}</span>
            <span className={css.track}>
              <i
                style={{ left: `${from}%`, width: `${Math.max(0.4, to - from)}%` }}
                className={step.error ? css.failed : ""}
              />
            </span>
            <span className="num mut">{step.ended_at ? duration(step.duration_ms) : "running"}</span>
          </button>
        );
      })}
    </div>
  );
}

/** Milliseconds with their fraction: `Date` drops the microseconds that steps are told apart by. */
function instant(at: string): number {
  const fraction = /\.(\d{3})(\d{1,3})/.exec(at)?.[2] ?? "0";
  return Date.parse(at) + Number(fraction.padEnd(3, "0")) / 1000;
}
