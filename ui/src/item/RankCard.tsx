import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { funnel, whyRank } from "../api/queries";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Section } from "../shell/Section";

/** Why the winner stands before it: the parts of the score that make the gap, the decisive ones in bold. */
export function RankCard({ runId, item }: { runId: string; item: string }) {
  const went = useQuery(funnel(runId));
  const winner = went.data?.winners.find((one) => one.item_id !== item);
  const asked = useQuery({ ...whyRank(runId, winner?.item_id ?? "", item), enabled: winner !== undefined });
  const answer = asked.data;
  if (!answer || !winner) return null;
  return (
    <Card
      title="Against the winner"
      aside={
        <Link to="/runs/$runId/item" params={{ runId }} search={{ item: winner.item_id }} className="link">
          {winner.name ?? winner.item_id}
        </Link>
      }
    >
      <Section>{answer.sentence}</Section>
      {answer.components && answer.components.length > 0 ? (
        <table className="plain">
          <thead>
            <tr>
              <th>part of the score</th>
              <th className="num">winner</th>
              <th className="num">this one</th>
              <th className="num">gap</th>
            </tr>
          </thead>
          <tbody>
            {answer.components.map((one) => (
              <tr key={one.name}>
                <td>{one.decisive ? <b>{one.name}</b> : one.name}</td>
                <td className="num">{number(one.item)}</td>
                <td className="num">{number(one.over)}</td>
                <td className="num">{number(one.delta).replace("-", "−")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </Card>
  );
}
