import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import type { Why } from "../api/types";
import { number } from "../logic/format";
import css from "./RunSay.module.css";

/** From the verdict back to what brought the item in: steps first, then ancestors. */
export function WalkBack({ why }: { why: Why }) {
  const stops = why.journey.filter((stop) => !stop.superseded).toReversed();
  const [, ...ancestors] = why.lineage;
  return (
    <div className={css.walk}>
      <span>Walk back</span>
      {stops.map((stop, at) => (
        <Fragment key={`${stop.step_id}${at}`}>
          {at > 0 ? <span className="faint">←</span> : null}
          <Link
            to="/runs/$runId"
            params={{ runId: why.run_id }}
            search={{ step: stop.step_id, find: why.item_id }}
            className={css.chip}
          >
            {stop.step_name}{" "}
            <small>{stop.score === null ? stop.outcome : `${stop.outcome} ${number(stop.score)}`}</small>
          </Link>
        </Fragment>
      ))}
      {ancestors.map((one, at) => (
        <Fragment key={one.item_id}>
          <span className="faint">←</span>
          <Link
            to="/runs/$runId/item"
            params={{ runId: why.run_id }}
            search={{ item: one.item_id }}
            className={`${css.chip} ${at === ancestors.length - 1 ? css.root : ""}`}
          >
            {one.name ?? one.item_id} <small>{one.step_name}</small>
          </Link>
        </Fragment>
      ))}
    </div>
  );
}
