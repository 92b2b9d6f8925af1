import { Link } from "@tanstack/react-router";
import type { Funnel, Run } from "../api/types";
import { clock, duration, exactTime, number, plain, shortId } from "../logic/format";
import { quoted } from "../logic/filter";
import { summary } from "../logic/summary";
import { Copy } from "../shell/Copy";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { LABEL, STATUS } from "../shell/tones";

/** What came in and what came out, and the run's own facts. */
export function RunHeader({ run, funnel }: { run: Run; funnel: Funnel }) {
  const labels = [...new Set((run.labels as { label: string }[]).map((one) => one.label))];
  const lost = Object.entries(funnel.losses);
  const [winner] = funnel.winners;
  const output = winner?.name ?? (summary(run.output) || winner?.item_id);
  return (
    <>
      <div className="crumb">
        <Link to="/runs" search={{ q: `pipeline:${quoted(run.pipeline)}` }} className="link">
          {run.pipeline}
        </Link>
        <span>/</span>
        <span className="mono" title={run.run_id}>
          {shortId(run.run_id)}
        </span>
        <Copy text={run.run_id} what="the run's id" />
        <Pill tone={STATUS[run.status] ?? "neutral"}>{run.status}</Pill>
        {labels.map((label) => (
          <Pill key={label} tone={LABEL[label] ?? "neutral"}>
            labelled {label}
          </Pill>
        ))}
        <span title={exactTime(run.started_at)}>
          {clock(run.started_at)} · {duration(run.duration_ms)}
          {run.code_version ? ` · version ${run.code_version}` : ""}
          {run.environment ? ` · ${run.environment}` : ""}
          {run.variant ? ` · ${run.variant}` : ""}
        </span>
        {lost.length > 0 ? (
          <Pill tone="warn" title="Recorded, and not here">
            {lost.map(([cause, n]) => `${cause.replaceAll("_", " ")} ${number(n)}`).join(", ")}
          </Pill>
        ) : (
          <span className="faint">nothing lost</span>
        )}
        <span className="space" />
        <CopyMenu
          api={`/runs/${encodeURIComponent(run.run_id)}`}
          python={`run(${JSON.stringify(run.run_id)})`}
          json={run}
        />
      </div>
      <h1>
        {summary(run.input) || run.pipeline} <span className="faint">→</span>{" "}
        {output ? <bdi>{plain(output)}</bdi> : <span className="mut">{run.status}</span>}
      </h1>
    </>
  );
}
