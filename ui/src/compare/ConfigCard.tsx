import type { Diff } from "../api/types";
import { number, value } from "../logic/format";
import { Card } from "../shell/Card";
import { Scroll } from "../shell/Scroll";

/** Settings, rules and versions that are not the same. */
export function ConfigCard({ diff }: { diff: Diff }) {
  if (diff.config_changes.length === 0) return null;
  return (
    <Card title="What was set otherwise" note={number(diff.totals.config_changes)}>
      <Scroll label="Settings">
        <table className="plain">
          <thead>
            <tr>
              <th>step</th>
              <th>kind</th>
              <th>what</th>
              <th>A</th>
              <th>B</th>
            </tr>
          </thead>
          <tbody>
            {diff.config_changes.map((one) => (
              <tr key={`${one.step_id?.a} ${one.step_id?.b} ${one.kind} ${one.field}`}>
                <td>{one.step_name ?? <span className="mut">the run</span>}</td>
                <td>{one.kind}</td>
                <td className="mono">{one.field}</td>
                <td className="mono">{value(one.a)}</td>
                <td className="mono">{value(one.b)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}
