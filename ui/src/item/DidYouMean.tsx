import { Link } from "@tanstack/react-router";
import type { ItemRow } from "../api/types";

/** Items that were perhaps meant. */
export function DidYouMean({ found, runId }: { found: ItemRow[] | null; runId?: string }) {
  if (!found || found.length === 0) return null;
  return (
    <span>
      Was one of these meant?{" "}
      {found.map((one) => (
        <span key={one.item_id}>
          {runId ? (
            <Link to="/runs/$runId/item" params={{ runId }} search={{ item: one.item_id }} className="link">
              {one.name ?? one.item_id}
            </Link>
          ) : (
            <Link to="/items" search={{ id: one.item_id }} className="link">
              {one.name ?? one.item_id}
            </Link>
          )}
          {" · "}
        </span>
      ))}
    </span>
  );
}
