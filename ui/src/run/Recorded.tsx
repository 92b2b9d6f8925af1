import { plain } from "../logic/format";
import { Section } from "../shell/Section";
import css from "./Recorded.module.css";

/** What was recorded, as it was: keys and values, or one text. */
export function Recorded({ title, found }: { title: string; found: unknown }) {
  if (found === null || found === undefined) return null;
  const entries: [string, unknown][] =
    typeof found === "object" && !Array.isArray(found) ? Object.entries(found) : [["", found]];
  return (
    <Section title={title}>
      <dl className={css.recorded}>
        {entries.map(([key, one]) => (
          <div key={key}>
            {key ? <dt>{key}</dt> : null}
            <dd>{plain(typeof one === "string" ? one : JSON.stringify(one))}</dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}
