import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { RunRow } from "../api/types";
import { narrowed, quoted } from "../logic/filter";
import { ago, duration, exactTime, number, percent, shortId } from "../logic/format";
import { summary } from "../logic/summary";
import { Pill } from "../shell/Pill";
import { LABEL, STATUS } from "../shell/tones";
import css from "./RunsTable.module.css";

interface Props {
  row: RunRow;
  now: number;
  top: number;
  height: number;
  index: number;
  here: boolean;
  chosen: boolean;
  choose: (runId: string) => void;
  q: string;
  narrow: (q: string) => void;
}

/** One run of the list. It is drawn anew only when it changes: hundreds pass by in a second of scrolling. */
export const RunLine = memo(function RunLine({ row, now, top, height, index, here, chosen, choose, q, narrow }: Props) {
  const about = row.summary;
  const worst = about.worst_step;
  const title = summary(about.input) || shortId(row.run_id);
  const output = summary(about.output);
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={here}
      className={`${css.line} ${css.row} ${here ? css.here : ""}`}
      style={{ position: "absolute", top: 0, left: 0, right: 0, height, transform: `translateY(${top}px)` }}
    >
      <span role="cell" className={css.choose}>
        <input
          type="checkbox"
          checked={chosen}
          onChange={() => choose(row.run_id)}
          aria-label={`Choose ${row.run_id} to compare`}
        />
      </span>
      <span role="cell" className={css.status}>
        <Pill tone={STATUS[row.status] ?? "neutral"}>{row.status}</Pill>
      </span>
      <span role="cell" className={css.input}>
        <Link to="/runs/$runId" params={{ runId: row.run_id }} className={css.title} title={title}>
          {title}
        </Link>
        <span className={css.sub}>
          <button
            type="button"
            onClick={() => narrow(narrowed(q, `pipeline:${quoted(row.pipeline)}`))}
            title={`Only ${row.pipeline}`}
          >
            {row.pipeline}
          </button>{" "}
          <span className="mono" title={row.run_id}>
            {shortId(row.run_id)}
          </span>
        </span>
      </span>
      <span role="cell" className={`cut ${css.output}`} title={output}>
        {output || <span className="faint">–</span>}
      </span>
      <span role="cell" className={`num nowrap ${css.counts}`}>
        {about.items_in !== null ? (
          `${number(about.items_in)} → ${number(about.items_out)}`
        ) : (
          <span className="faint">–</span>
        )}
      </span>
      <span role="cell" className={css.worst}>
        {worst ? (
          <>
            <span className="cut" title={worst.step_name}>
              {worst.step_name}
            </span>
            <span className={css.meter} title={`${percent(worst.rejection_rate)} rejected`}>
              <i style={{ width: `${worst.rejection_rate * 100}%` }} />
            </span>
            <span className="mut nowrap">{percent(worst.rejection_rate)}</span>
          </>
        ) : (
          <span className="faint">–</span>
        )}
      </span>
      <span role="cell" className={`num nowrap ${css.took}`}>
        {duration(row.duration_ms)}
      </span>
      <span role="cell" className={css.labels}>
        {about.labels.map((label) => (
          <Pill key={label} tone={LABEL[label] ?? "neutral"}>
            {label}
          </Pill>
        ))}
        {Object.keys(row.losses).length > 0 ? (
          <Pill
            tone="warn"
            title={Object.entries(row.losses)
              .map(([cause, n]) => `${cause} ${n}`)
              .join(", ")}
          >
            losses
          </Pill>
        ) : null}
      </span>
      <time
        role="cell"
        className={`mut nowrap ${css.when}`}
        dateTime={row.started_at}
        title={exactTime(row.started_at)}
      >
        {ago(row.started_at, now)}
      </time>
    </div>
  );
});
