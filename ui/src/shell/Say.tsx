import type { ReactNode } from "react";
import { plain } from "../logic/format";
import { Copy } from "./Copy";
import css from "./Say.module.css";

interface Props {
  sentence: string;
  unknown?: { cause: string; detail: string } | null | undefined;
  hint?: string | null | undefined;
  /** What stands at its right: a menu of copies. */
  aside?: ReactNode;
  children?: ReactNode;
}

/** The answer in plain words, first; the first sentence of it stands out. */
export function Say({ sentence, unknown, hint, aside, children }: Props) {
  const [first, rest] = parted(plain(sentence));
  return (
    <div className={css.say}>
      <span className={css.copy}>
        {aside}
        <Copy text={sentence} what="this sentence" />
      </span>
      <p>
        <b>{first}</b> {rest}
      </p>
      {unknown && !sentence.includes(unknown.detail) ? (
        <p className={css.more}>
          <b>Not known</b> ({unknown.cause.replaceAll("_", " ")}): {plain(unknown.detail)}
        </p>
      ) : null}
      {hint ? <p className={css.more}>{plain(hint)}</p> : null}
      {children ? <div className={css.more}>{children}</div> : null}
    </div>
  );
}

function parted(sentence: string): [string, string] {
  const end = sentence.search(/[.:;] /);
  return end < 0 ? [sentence, ""] : [sentence.slice(0, end + 1), sentence.slice(end + 2)];
}
