import { Link } from "@tanstack/react-router";
import type { Diff } from "../api/types";
import { number } from "../logic/format";
import { Card } from "../shell/Card";
import { Scroll } from "../shell/Scroll";

interface Props {
  title: string;
  runId: string;
  items: Diff["arrivals"];
  total: number | null;
}

const SHOWN = 60;

/** Items that only one of the runs had. */
export function ArrivalsCard({ title, runId, items, total }: Props) {
  if (items !== null && items.length === 0) return null;
  return (
    <Card title={title} note={total === null ? "not known" : `${number(total)} items`}>
      <Scroll label="Items" most={300}>
        <table className="plain">
          <tbody>
            {(items ?? []).slice(0, SHOWN).map((one) => (
              <tr key={`${one.step_id} ${one.item_id}`}>
                <td>
                  <Link to="/runs/$runId/item" params={{ runId }} search={{ item: one.item_id }} className="link">
                    {one.name ?? one.item_id}
                  </Link>
                </td>
                <td className="mut">{one.step_name}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Card>
  );
}
