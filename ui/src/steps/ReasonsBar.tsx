import { number, percent, plain } from "../logic/format";
import css from "./Steps.module.css";

interface Props {
  reasons: readonly [string, number][];
  /** All items that came; without it the bar is of those that were rejected. */
  came: number | null;
  colours: Map<string, string>;
  /** How many are said in words; all are where the pointer rests. */
  named?: number;
}

/** What was rejected, by reason, as parts of what came; the words are below. */
export function ReasonsBar({ reasons, came, colours, named = 2 }: Props) {
  const rejected = reasons.reduce((all, [, n]) => all + n, 0);
  if (rejected === 0) return <span className="faint">–</span>;
  const whole = Math.max(came ?? 0, rejected);
  const said = reasons.map(([reason, n]) => `${plain(reason)} ${number(n)} (${percent(n / whole)})`).join(", ");
  return (
    <div className={css.reasons} title={said}>
      <div className={css.bar} role="img" aria-label={said}>
        {reasons.map(([reason, n]) => (
          <i key={reason} style={{ width: `${(n / whole) * 100}%`, background: colours.get(reason) ?? "var(--unk)" }} />
        ))}
      </div>
      {reasons.slice(0, named).map(([reason, n]) => (
        <div key={reason} className={css.reason}>
          <i className="swatch" style={{ background: colours.get(reason) ?? "var(--unk)" }} />
          <span className="cut">{plain(reason)}</span>
          <span className="mut nowrap">{percent(n / whole)}</span>
        </div>
      ))}
      {reasons.length > named && named > 1 ? <div className="faint">and {reasons.length - named} more</div> : null}
    </div>
  );
}
