import { Link } from "@tanstack/react-router";
import { quoted } from "../logic/filter";
import type { Asking } from "./asking";
import css from "./Ask.module.css";
import { SINCE_YESTERDAY } from "./asks";

/** The questions as people have them; each leads to its answer. */
export function AskHome({ scope: { pipeline } }: Asking) {
  const of = pipeline ? `pipeline:${quoted(pipeline)} ` : "";
  const [, before, after] = SINCE_YESTERDAY;
  const asks = [
    {
      ask: "What changed since yesterday?",
      what: "What is rejected more often than the day before, and what those items share.",
      search: { question: "explain", a: of + before, b: of + after },
    },
    {
      ask: "Which rule stops most?",
      what: "Every rule: how often it is asked, what it stops, what only it stops, how close to its limit.",
      search: { question: "rules", pipeline },
    },
    {
      ask: "What if a limit were another?",
      what: "Drag a limit: which items would be decided otherwise, and which runs would choose another winner.",
      search: { question: "whatif", pipeline },
    },
    {
      ask: "What do the bad runs share?",
      what: "Runs labelled bad against those labelled good.",
      search: { question: "explain", a: `${of}label:good`, b: `${of}label:bad`, outcome: "label:bad" },
    },
    {
      ask: "Does the same input lead to the same decision?",
      what: "How often repeated inputs flip, and the step at which they part.",
      search: { question: "stability", pipeline },
    },
    {
      ask: "Which step is to blame?",
      what: "For each label that says something was wrong: the step that could have mended it.",
      search: { question: "blame", pipeline },
    },
  ];
  return (
    <ul className={css.asks}>
      {asks.map(({ ask, what, search }) => (
        <li key={ask}>
          <Link to="/ask" search={search}>
            <b>{ask}</b>
            <span>{what}</span>
          </Link>
        </li>
      ))}
      <li>
        <Link to="/steps" search={{ q: `${of}step_type:filter rejection_rate:>0.9` }}>
          <b>Which filters reject more than nine in ten?</b>
          <span>Steps across runs, by any filter.</span>
        </Link>
      </li>
    </ul>
  );
}
