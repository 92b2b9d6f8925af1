import { Link } from "@tanstack/react-router";
import type { Why } from "../api/types";
import { value } from "../logic/format";
import { Card } from "../shell/Card";

interface Props {
  runId: string;
  why: Why;
  twin: NonNullable<Why["twin"]>;
}

/** The kept item that is nearest in evidence, side by side. */
export function TwinCard({ runId, why, twin }: Props) {
  const evidence = why.journey.find((stop) => stop.step_id === why.step_id)?.evidence ?? {};
  const keys = [...new Set([...Object.keys(twin.differences), ...Object.keys(evidence)])];
  return (
    <Card title="Nearest item that was kept">
      <table className="plain">
        <thead>
          <tr>
            <th>
              <span className="visually-hidden">evidence</span>
            </th>
            <th className="num">this one</th>
            <th className="num" style={{ whiteSpace: "normal" }}>
              <Link to="/runs/$runId/item" params={{ runId }} search={{ item: twin.item_id }} className="link">
                {twin.name ?? twin.item_id}
              </Link>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => {
            const pair = twin.differences[key];
            return (
              <tr key={key}>
                <td>{key}</td>
                <td className="num" style={pair ? { color: "var(--bad)", fontWeight: 600 } : undefined}>
                  {value(pair ? pair[0] : evidence[key])}
                </td>
                <td className="num">{pair ? value(pair[1]) : <span className="faint">the same</span>}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Card>
  );
}
