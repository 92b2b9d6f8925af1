import type { Box } from "../logic/funnelLayout";
import { NODE_WIDTH } from "../logic/funnelLayout";
import { number } from "../logic/format";
import css from "./Funnel.module.css";
import { fitted } from "./fitted";
import { onKey } from "./onKey";

interface Props {
  box: Box;
  room: number;
  on: boolean;
  choose: () => void;
}

export function FunnelStepBox({ box, room, on, choose }: Props) {
  const { step } = box;
  const said = `${number(step.in)} → ${number(step.out)}`;
  const kind = [step.step_type, step.failed ? "failed" : null, step.ended ? null : "not ended"]
    .filter(Boolean)
    .join(", ");
  return (
    <g
      className={`${css.step} ${on ? css.on : ""}`}
      role="button"
      tabIndex={0}
      aria-pressed={on}
      onClick={choose}
      onKeyDown={onKey(choose)}
    >
      <title>{`${step.step_name}: ${kind}, ${said} items`}</title>
      <rect className={css.hit} x={box.x - 8} y={box.y - 48} width={room + 4} height={44} rx={6} />
      <text className={css.name} x={box.x} y={box.y - 30}>
        {fitted(step.step_name, room, 7.2)}
      </text>
      <text className={css.more} x={box.x} y={box.y - 14}>
        {fitted([kind, said].filter(Boolean).join(" · "), room, 6.2)}
      </text>
      <rect className={css.bar} x={box.x} y={box.y} width={NODE_WIDTH} height={box.height} rx={2} />
    </g>
  );
}
