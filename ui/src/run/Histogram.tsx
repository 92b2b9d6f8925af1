import type { Distribution } from "../api/types";
import { number, short } from "../logic/format";
import css from "./Histogram.module.css";

type Bin = Distribution["bins"][number];

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

/** Bars of the values, those of kept items below: no bar lies on both sides of the limit. */
export function Histogram({ bins, limit, above, colour, label }: Props) {
  const most = Math.max(1, ...bins.map((bin) => bin.n));
  const [low, high] = [bins[0]?.from ?? 0, bins.at(-1)?.to ?? 1];
  const at = (value: number) => ((value - low) / (high - low || 1)) * WIDTH;
  const line = at(limit);
  const right = line > WIDTH / 2;
  return (
    <svg className={css.picture} viewBox={`0 0 ${WIDTH} ${HEIGHT + 18}`} width="100%" role="img" aria-label={label}>
      {bins.map((bin) => {
        const passes = above ? bin.from >= limit : bin.to <= limit;
        const [all, kept] = [bin.n, bin.kept].map((n) => (n / most) * (HEIGHT - 16)) as [number, number];
        const place = { x: at(bin.from) + 1, width: Math.max(1, at(bin.to) - at(bin.from) - 2) };
        return (
          <g key={bin.from}>
            <title>{said(bin)}</title>
            <rect {...place} y={HEIGHT - all} height={all - kept} fill={passes ? "var(--faint)" : colour} />
            <rect {...place} y={HEIGHT - kept} height={kept} fill="var(--keep)" opacity={0.6} />
          </g>
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

function said({ from, to, n, kept, dropped }: Bin): string {
  const open = n - kept - dropped;
  const parts = [`${number(kept)} kept`, `${number(dropped)} dropped`, ...(open ? [`${number(open)} not known`] : [])];
  return `${short(from)} to ${short(to)}: ${number(n)}, ${parts.join(", ")}`;
}
