import { Link } from "@tanstack/react-router";
import type { Diff } from "../api/types";
import { clock, duration, exactTime, shortId } from "../logic/format";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Section } from "../shell/Section";
import { STATUS } from "../shell/tones";

interface Props {
  name: "A" | "B";
  runId: string;
  side: Diff["runs"]["a"];
  title: string;
  winners: Diff["winners"]["a"];
  output: string;
}

export function SideCard({ name, runId, side, title, winners, output }: Props) {
  return (
    <Card label={`Run ${name}`}>
      <Section>
        <div className="row">
          <b>{name}</b>
          <Link to="/runs/$runId" params={{ runId }} className="link mono">
            {shortId(runId)}
          </Link>
          <Pill tone={STATUS[side.status] ?? "neutral"}>{side.status}</Pill>
          <span className="mut" title={exactTime(side.started_at)}>
            {clock(side.started_at)} · {duration(side.duration_ms)}
            {side.code_version ? ` · version ${side.code_version}` : ""}
            {side.variant ? ` · ${side.variant}` : ""}
          </span>
          {side.lost_events ? <Pill tone="warn">events were lost</Pill> : null}
        </div>
        <div style={{ marginTop: 6 }}>
          {title} <span className="faint">→</span>{" "}
          {winners && winners.length > 0
            ? winners.map((one) => (
                <Link
                  key={one.item_id}
                  to="/runs/$runId/item"
                  params={{ runId }}
                  search={{ item: one.item_id }}
                  className="link"
                >
                  <b>{one.name ?? one.item_id}</b>{" "}
                </Link>
              ))
            : output || <span className="faint">nothing selected</span>}
        </div>
      </Section>
    </Card>
  );
}
