import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { itemById } from "../api/queries";
import { number } from "../logic/format";
import { inOtherRuns } from "../logic/otherRuns";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";
import { Waiting } from "../shell/Waiting";

/** What became of the item in other runs. */
export function HistoryCard({ item, runId }: { item: string; runId: string }) {
  const asked = useQuery(itemById(item));
  const answer = asked.data;
  if (asked.error) return null;
  const others = answer ? inOtherRuns(answer, runId) : null;
  const { outcomes, reasons } = others ?? answer?.totals ?? { outcomes: {}, reasons: [] };
  return (
    <Card
      title={answer && !others ? "In all runs" : "In other runs"}
      aside={
        <Link to="/items" search={{ id: item }} className="link">
          all {answer ? number(answer.total) : ""}
        </Link>
      }
    >
      {answer ? (
        <>
          {others?.total === 0 ? <Section>No other run has it.</Section> : null}
          <table className="plain">
            <tbody>
              {Object.entries(outcomes).map(([outcome, n]) => {
                const why = outcome === "rejected" ? reasons : [];
                return (
                  <tr key={outcome}>
                    <td>
                      {outcome}
                      {why.slice(0, 3).map((one) => (
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
