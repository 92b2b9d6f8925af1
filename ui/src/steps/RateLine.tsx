import type { RatePoint } from "../logic/stepGroups";
import { percent } from "../logic/format";
import css from "./Steps.module.css";

const WIDTH = 120;
const HEIGHT = 26;
const EDGE = 3;

/** How the rejection rate went, the oldest at the left; the height is 0 to 100 %. */
export function RateLine({ points }: { points: readonly RatePoint[] }) {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return <span className="faint">–</span>;
  const span = last.at - first.at || 1;
  const x = (at: number) => (points.length === 1 ? WIDTH - EDGE : EDGE + ((at - first.at) / span) * (WIDTH - 2 * EDGE));
  const y = (rate: number) => HEIGHT - EDGE - Math.min(1, Math.max(0, rate)) * (HEIGHT - 2 * EDGE);
  const said =
    points.length === 1
      ? `rejection rate ${percent(last.rate)}`
      : `rejection rate from ${percent(first.rate)} to ${percent(last.rate)}, the oldest first`;
  return (
    <svg className={css.line} width={WIDTH} height={HEIGHT} role="img" aria-label={said}>
      <title>{said}</title>
      <line x1={0} x2={WIDTH} y1={y(0)} y2={y(0)} className={css.ground} />
      <polyline points={points.map((one) => `${x(one.at)},${y(one.rate)}`).join(" ")} className={css.rate} />
      <circle cx={x(last.at)} cy={y(last.rate)} r={2.5} className={css.end} />
    </svg>
  );
}
