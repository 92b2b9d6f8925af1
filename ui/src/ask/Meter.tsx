import { interval, percent } from "../logic/format";
import css from "./Ask.module.css";

/** A share, with its interval drawn in. */
export function Meter({ rate, bounds }: { rate: number; bounds?: readonly number[] }) {
  const [low, high] = bounds ?? [];
  return (
    <span
      className={css.meter}
      role="img"
      aria-label={`${percent(rate)}${bounds ? `, ${interval(bounds)}` : ""}`}
      title={bounds ? `${interval(bounds)} at 95 %` : percent(rate)}
    >
      <i style={{ width: `${rate * 100}%` }} />
      {low !== undefined && high !== undefined ? (
        <em style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />
      ) : null}
    </span>
  );
}
