import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { itemById } from "../api/queries";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";

/** What became of the item in other runs. */
export function HistoryCard({ item, runId }: { item: string; runId: string }) {
  const asked = useQuery(itemById(item));
  const answer = asked.data;
  if (asked.error) return null;
  return (
    <Card
      title="In other runs"
      aside={
        <Link to="/items" search={{ id: item }} className="link">
          all {answer ? number(answer.total) : ""}
        </Link>
      }
    >
      {answer ? (
        <>
          <table className="plain">
            <tbody>
              {Object.entries(answer.totals.outcomes).map(([outcome, n]) => {
                const reasons = outcome === "rejected" ? answer.totals.reasons : [];
                return (
                  <tr key={outcome}>
                    <td>
                      {outcome}
                      {reasons.slice(0, 3).map((one) => (
                        <div key={`${one.step_name} ${one.reason}`} className="faint">
                          {one.reason} at {one.step_name}: {number(one.n)}
                        </div>
                      ))}
                    </td>
                    <td className="num">{number(n)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          <Section>
            {answer.runs
              .filter((one) => one.run_id !== runId)
              .slice(0, 5)
              .map((one) => (
                <div key={one.run_id} className="row">
                  <Link to="/runs/$runId/item" params={{ runId: one.run_id }} search={{ item }} className="link mono">
                    …{one.run_id.slice(-6)}
                  </Link>
                  <span className="mut">{[one.outcome, one.reason].filter(Boolean).join(": ")}</span>
                  <Link to="/compare" search={{ a: one.run_id, b: runId }} className="link">
                    compare
                  </Link>
                </div>
              ))}
          </Section>
        </>
      ) : (
        <Waiting lines={3} />
      )}
    </Card>
  );
}
