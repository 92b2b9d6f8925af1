import { Link } from "@tanstack/react-router";
import type { Pipeline } from "../api/types";
import { quoted } from "../logic/filter";
import { number } from "../logic/format";
import { Pill } from "../shell/Pill";
import { STATUS } from "../shell/tones";

const STATES = ["running", "waiting", "failed", "abandoned"] as const;

/** The runs of a pipeline that did not complete, each state with its runs. */
export function States({ of }: { of: Pipeline }) {
  if (of.completed === of.runs) return <span className="mut">all completed</span>;
  return STATES.map((state) =>
    of[state] > 0 ? (
      <Link key={state} to="/runs" search={{ q: `pipeline:${quoted(of.pipeline)} status:${state}` }}>
        <Pill tone={STATUS[state] ?? "neutral"}>
          {number(of[state])} {state}
        </Pill>{" "}
      </Link>
    ) : null,
  );
}
