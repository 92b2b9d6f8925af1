import type { Bin } from "../logic/bins";
import { number, short } from "../logic/format";
import css from "./Histogram.module.css";

interface Props {
  bins: Bin[];
  limit: number;
  /** The rule lets pass what is above the limit. */
  above: boolean;
  colour: string;
  label: string;
}

const WIDTH = 340;
const HEIGHT = 74;

export function Histogram({ bins, limit, above, colour, label }: Props) {
  const most = Math.max(1, ...bins.map((bin) => bin.n));
  const [low, high] = [bins[0]?.from ?? 0, bins.at(-1)?.to ?? 1];
  const at = (value: number) => ((value - low) / (high - low || 1)) * WIDTH;
  const line = at(limit);
  const right = line > WIDTH / 2;
  return (
    <svg className={css.picture} viewBox={`0 0 ${WIDTH} ${HEIGHT + 18}`} width="100%" role="img" aria-label={label}>
      {bins.map((bin) => {
        const height = (bin.n / most) * (HEIGHT - 16);
        const passes = above ? bin.from >= limit : bin.to <= limit;
        return (
          <rect
            key={bin.from}
            x={at(bin.from) + 1}
            y={HEIGHT - height}
            width={Math.max(1, at(bin.to) - at(bin.from) - 2)}
            height={height}
            rx={1.5}
            fill={passes ? "var(--keep)" : colour}
            opacity={passes ? 0.45 : 0.9}
          >
            <title>{`${short(bin.from)} to ${short(bin.to)}: ${number(bin.n)}`}</title>
          </rect>
        );
      })}
      <line x1={line} x2={line} y1={2} y2={HEIGHT} stroke="var(--ink)" strokeDasharray="3 2" />
      <text x={line + (right ? -6 : 6)} y={11} textAnchor={right ? "end" : "start"}>
        limit {number(limit)}
      </text>
      <line x1={0} x2={WIDTH} y1={HEIGHT} y2={HEIGHT} stroke="var(--line)" />
      <text x={0} y={HEIGHT + 15}>
        {short(low)}
      </text>
      <text x={WIDTH} y={HEIGHT + 15} textAnchor="end">
        {short(high)}
      </text>
    </svg>
  );
}
