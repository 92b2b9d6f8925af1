import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { why } from "../api/queries";
import type { Funnel, Run } from "../api/types";
import { Say } from "../shell/Say";
import { Failed } from "./Failed";
import css from "./RunSay.module.css";
import { WalkBack } from "./WalkBack";

/** Why the run chose what it chose; where it chose nothing, where its items went. */
export function RunSay({ run, funnel }: { run: Run; funnel: Funnel }) {
  const [winner, ...others] = funnel.winners;
  const chosen = useQuery({ ...why(run.run_id, winner?.item_id ?? ""), enabled: winner !== undefined });
  const answer = winner ? chosen.data : undefined;
  return (
    <Say
      sentence={answer?.sentence ?? funnel.sentence}
      unknown={answer?.unknown ?? funnel.unknown}
      hint={answer?.hint ?? funnel.hint}
    >
      <Failed error={run.error} />
      {answer ? <p>{funnel.sentence}</p> : null}
      {answer ? <WalkBack why={answer} /> : null}
      <div className={css.links}>
        {others.length > 0 ? <span className="mut">and {others.length} more chosen:</span> : null}
        {others.slice(0, 5).map((one) => (
          <Link
            key={one.item_id}
            to="/runs/$runId/item"
            params={{ runId: run.run_id }}
            search={{ item: one.item_id }}
            className="link"
          >
            {one.name ?? one.item_id}
          </Link>
        ))}
        <Link to="/compare" search={{ a: run.run_id }} className={css.button}>
          Compare with another run
        </Link>
        <Link to="/ask" search={{ question: "whatif", pipeline: run.pipeline }} className={css.button}>
          Ask what-if
        </Link>
      </div>
    </Say>
  );
}
