import { Link } from "@tanstack/react-router";
import type { Diff } from "../api/types";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Pill } from "../shell/Pill";
import { OUTCOME } from "../shell/tones";
import { Scroll } from "../shell/Scroll";

type Side = Diff["flips"][number]["a"];

/** Items that both runs had at a step, with another outcome. */
export function FlipsCard({ diff }: { diff: Diff }) {
  if (diff.flips.length === 0) return null;
  return (
    <Card
      title="Items that were decided otherwise"
      note={
        diff.totals.flips > diff.flips.length
          ? `${number(diff.flips.length)} of ${number(diff.totals.flips)}`
          : number(diff.totals.flips)
      }
    >
      <Scroll label="Flips" most={420}>
        <table className="plain">
          <thead>
            <tr>
              <th>item</th>
              <th>step</th>
              <th>A</th>
              <th>B</th>
            </tr>
          </thead>
          <tbody>
            {diff.flips.map((one) => (
              <tr key={`${one.step_id.a} ${one.item_id}`}>
                <td>
                  {one.name ?? one.item_id} {one.name ? <span className="mono faint">{one.item_id}</span> : null}
                </td>
                <td>{one.step_name}</td>
                <Fate runId={diff.a} item={one.item_id} side={one.a} />
                <Fate runId={diff.b} item={one.item_id} side={one.b} />
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}

function Fate({ runId, item, side }: { runId: string; item: string; side: Side }) {
  return (
    <td>
      <Link to="/runs/$runId/item" params={{ runId }} search={{ item }}>
        <Pill tone={OUTCOME[side.outcome] ?? "neutral"}>{side.outcome}</Pill>
      </Link>{" "}
      {side.reason} {side.score === null ? "" : number(side.score)}
    </td>
  );
}
