import { clock } from "../logic/format";
import css from "./RunsPage.module.css";

/** The server does not answer: how old is what is shown. It goes by itself when the server is back. */
export function Away({ since }: { since: number }) {
  return (
    <span className={css.away}>
      The server does not answer{since > 0 ? `: this is what was there at ${clock(new Date(since).toISOString())}` : ""}
      . The page goes on by itself when it is back.
    </span>
  );
}
