import type { Diff } from "../api/types";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Scroll } from "../shell/Scroll";

const SHOWN = 50;

/** Items that both runs ranked, in another place. */
export function MovesCard({ diff }: { diff: Diff }) {
  if (diff.rank_moves.length === 0) return null;
  return (
    <Card
      title="Rank moves"
      note={`${number(Math.min(SHOWN, diff.rank_moves.length))} of ${number(diff.totals.rank_moves)}`}
    >
      <Scroll label="Rank moves" most={360}>
        <table className="plain">
          <thead>
            <tr>
              <th>item</th>
              <th>step</th>
              <th className="num">A</th>
              <th className="num">B</th>
              <th className="num">moved</th>
              <th className="num">score A</th>
              <th className="num">score B</th>
            </tr>
          </thead>
          <tbody>
            {diff.rank_moves.slice(0, SHOWN).map((one) => {
              const moved = one.a.rank - one.b.rank;
              return (
                <tr key={`${one.step_id.a} ${one.item_id}`}>
                  <td>{one.name ?? one.item_id}</td>
                  <td>{one.step_name}</td>
                  <td className="num">{number(one.a.rank)}</td>
                  <td className="num">{number(one.b.rank)}</td>
                  <td className="num">{moved > 0 ? `↑ ${moved}` : `↓ ${-moved}`}</td>
                  <td className="num">{number(one.a.score)}</td>
                  <td className="num">{number(one.b.score)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}
