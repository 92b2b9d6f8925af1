import { number, value } from "../logic/format";
import css from "./Journey.module.css";

/** What a score is made of: lengths where the parts are positive, else in words. */
export function PartsBar({ parts }: { parts: Record<string, unknown> }) {
  const entries = Object.entries(parts);
  const all = entries.every(([, one]) => typeof one === "number" && one >= 0);
  if (!all || entries.length === 0)
    return <p className="mut">score = {entries.map(([key, one]) => `${key} ${value(one)}`).join(" + ")}</p>;
  return (
    <div
      className={css.parts}
      role="img"
      aria-label={`score = ${entries.map(([key, one]) => `${key} ${value(one)}`).join(" + ")}`}
    >
      {entries.map(([key, one]) => (
        <span key={key} style={{ flexGrow: one as number, flexBasis: 0 }} title={`${key} ${number(one as number)}`}>
          {key} {number(one as number)}
        </span>
      ))}
    </div>
  );
}
