import { useQuery } from "@tanstack/react-query";
import { run } from "../api/queries";
import type { RunRow } from "../api/types";
import { exactTime, shortId } from "../logic/format";
import { summary } from "../logic/summary";

export function PickLine({ row, pick }: { row: RunRow; pick: () => void }) {
  const whole = useQuery({ ...run(row.run_id), staleTime: 60_000 });
  return (
    <tr>
      <td>
        <button type="button" className="asLink mono" onClick={pick}>
          {shortId(row.run_id)}
        </button>
      </td>
      <td>{row.status}</td>
      <td>{whole.data ? summary(whole.data.input) : ""}</td>
      <td>{whole.data ? `→ ${summary(whole.data.output)}` : ""}</td>
      <td className="mut nowrap">{exactTime(row.started_at)}</td>
    </tr>
  );
}
