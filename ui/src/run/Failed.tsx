import { failureOf } from "../logic/failure";
import css from "./RunSay.module.css";

/** What stopped a run or a step: its type, its message, and where it was raised. */
export function Failed({ error }: { error: unknown }) {
  const found = failureOf(error);
  if (found === null) return null;
  return (
    <div className={css.error}>
      <div>
        {found.type ? <b>{found.type}</b> : null}
        {found.type && found.message ? ": " : null}
        {found.message}
      </div>
      {found.where.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}
