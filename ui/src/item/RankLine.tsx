import { Link } from "@tanstack/react-router";
import type { Why } from "../api/types";
import { number } from "../logic/format";

/** Its place among what was scored, and how far it was from being taken. */
export function RankLine({ why }: { why: Why }) {
  const into = why.into && !Array.isArray(why.into) ? why.into : null;
  return (
    <p className="mut">
      {why.rank === null
        ? `Rank ${number(why.rank_at_least)} or lower: ${number(why.scored)} scores recorded, perhaps not all`
        : `Rank ${number(why.rank)}${why.scored === null ? "" : ` of ${number(why.scored)}`}`}
      {why.cutoff === null
        ? ""
        : ` · ${why.cutoff === 1 ? "only the first was taken" : `the first ${number(why.cutoff)} were taken`}`}
      {why.gap === null ? "" : ` · ${number(Math.abs(why.gap))} from the cut-off`}
      {into ? (
        <>
          {" · place taken by "}
          <Link to="/runs/$runId/item" params={{ runId: why.run_id }} search={{ item: into.item_id }} className="link">
            {into.name ?? into.item_id}
          </Link>
        </>
      ) : null}
    </p>
  );
}
