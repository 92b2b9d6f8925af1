import type { RuleHealth } from "../api/types";
import { number } from "../logic/format";

const WIDTH = 200;
const HEIGHT = 38;

/** How close values came to the limit; left of the line they failed. */
export function Margins({ near }: { near: NonNullable<RuleHealth["near_misses"]> }) {
  const most = Math.max(1, ...near.bins.map((bin) => bin.n));
  const each = WIDTH / Math.max(1, near.bins.length);
  const zero = near.bins.filter((bin) => bin.from < 0).length * each;
  const said = `${number(near.failed)} failed and ${number(near.passed)} passed within ${number(near.within)} of the limit`;
  return (
    <svg width={WIDTH} height={HEIGHT} role="img" aria-label={said}>
      <title>{said}</title>
      {near.bins.map((bin, at) => {
        const height = (bin.n / most) * (HEIGHT - 4);
        return (
          <rect
            key={bin.from}
            x={at * each + 0.5}
            y={HEIGHT - height}
            width={each - 1}
            height={height}
            fill={bin.from < 0 ? "var(--r1)" : "var(--keep)"}
            opacity={0.75}
          />
        );
      })}
      <line x1={zero} x2={zero} y1={0} y2={HEIGHT} stroke="var(--ink)" strokeDasharray="3 2" />
    </svg>
  );
}
