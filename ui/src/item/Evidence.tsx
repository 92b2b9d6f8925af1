import { value } from "../logic/format";
import css from "./Journey.module.css";

const SAID: Readonly<Record<string, string>> = {
  sampled_out: "its evidence was not kept: only a sample is",
  truncated: "its evidence was cut",
  redacted: "its evidence is redacted",
  expired: "its evidence has expired",
};

export function Evidence({ evidence, state }: { evidence: Record<string, unknown> | null; state: string | null }) {
  const entries = Object.entries(evidence ?? {});
  return (
    <>
      {entries.length > 0 ? (
        <dl className={css.evidence}>
          {entries.map(([key, one]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{one === null ? "null" : value(one)}</dd>
            </div>
          ))}
        </dl>
      ) : null}
      {state && SAID[state] ? <p className="faint">{SAID[state]}</p> : null}
    </>
  );
}
