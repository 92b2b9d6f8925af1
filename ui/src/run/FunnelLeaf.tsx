import type { Mark } from "../logic/funnelLayout";
import { number, percent, plural } from "../logic/format";
import css from "./Funnel.module.css";
import { fitted } from "./fitted";
import { leafColour } from "./leafColour";
import { onKey } from "./onKey";
import type { Chosen } from "./RunPage";

interface Props {
  mark: Mark;
  colours: Map<string, string>;
  on: boolean;
  choose: (next: Chosen) => void;
}

const OUTCOMES: Readonly<Record<string, string>> = {
  rejected: "rejected",
  outranked: "outranked",
  merged: "merged",
  selected: "selected",
  left: "accepted",
};

export function FunnelLeaf({ mark, colours, on, choose }: Props) {
  const { leaf, x, y, height, room } = mark;
  const take = () => choose({ step: leaf.stepId, outcome: OUTCOMES[leaf.kind], reason: leaf.reason ?? undefined });
  const said = leaf.share === null ? plural(leaf.n, "item") : `${number(leaf.n)} · ${percent(leaf.share)}`;
  const middle = y + height / 2;
  if (leaf.kind === "selected") {
    return (
      <g className={css.leaf} role="button" tabIndex={0} onClick={take} onKeyDown={onKey(take)}>
        <title>{`Selected: ${leaf.label}`}</title>
        <circle cx={x + 4} cy={middle} r={5} fill="var(--sel)" />
        <text className={css.winner} x={x + 15} y={middle + 4}>
          {fitted(leaf.label, room, 7)}
        </text>
      </g>
    );
  }
  return (
    <g className={`${css.leaf} ${on ? css.on : ""}`} role="button" tabIndex={0} onClick={take} onKeyDown={onKey(take)}>
      <title>{`${leaf.label}: ${plural(leaf.n, "item")}`}</title>
      <rect className={css.hit} x={x + 1} y={middle - 14} width={room + 8} height={36} rx={5} />
      <rect x={x} y={y} width={4} height={Math.max(3, height)} rx={1} fill={leafColour(leaf, colours)} />
      <text x={x + 10} y={middle + 3}>
        {fitted(leaf.label, room)}
      </text>
      <text className={css.more} x={x + 10} y={middle + 18}>
        {said}
      </text>
    </g>
  );
}
