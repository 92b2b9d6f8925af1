import { Link } from "@tanstack/react-router";

/** A run by the end of its id, which is what tells runs apart; `step` is the one that is shown. */
export function RunLink({ runId, step, last = 6 }: { runId: string; step?: string; last?: number }) {
  return (
    <Link to="/runs/$runId" params={{ runId }} search={step ? { step } : {}} className="link mono" title={runId}>
      {runId.length > last + 1 ? `…${runId.slice(-last)}` : runId}
    </Link>
  );
}
