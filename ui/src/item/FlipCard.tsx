import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { flip } from "../api/asked";
import { value } from "../logic/format";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { Section } from "../shell/Section";
import { EXACTNESS } from "../shell/tones";
import { Waiting } from "../shell/Waiting";

/** The cheapest change of limits that would have selected it. */
export function FlipCard({ runId, item }: { runId: string; item: string }) {
  const asked = useQuery(flip(runId, item));
  const answer = asked.data;
  return (
    <Card
      title="What would have selected it"
      aside={
        answer ? (
          <Pill tone={EXACTNESS[answer.exactness] ?? "neutral"}>{answer.exactness.replaceAll("_", " ")}</Pill>
        ) : null
      }
    >
      {asked.error ? <Section>{asked.error.message}</Section> : null}
      {asked.isPending ? <Waiting lines={2} /> : null}
      {answer ? (
        <Section>
          <div>{answer.sentence}</div>
          {answer.changes.map((change) => (
            <div key={`${change.step_name} ${change.reason}`} className="row" style={{ marginTop: 6 }}>
              <span className="mono">
                {change.field} {change.op} {change.disable ? "(off)" : value(change.to)}
              </span>
              <Link
                to="/ask"
                search={{
                  question: "whatif",
                  q: `run_id:${runId}`,
                  reason: change.reason,
                  step: change.step_name,
                  to: typeof change.to === "number" ? String(change.to) : undefined,
                }}
                className="link"
              >
                Open in what-if
              </Link>
            </div>
          ))}
          {answer.unknown ? <div className="mut">{answer.unknown.detail}</div> : null}
        </Section>
      ) : null}
    </Card>
  );
}
