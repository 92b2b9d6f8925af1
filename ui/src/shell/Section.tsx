import type { ReactNode } from "react";
import css from "./Card.module.css";

/** A part of a card, with a quiet title. */
export function Section({ title, children }: { title?: ReactNode; children: ReactNode }) {
  return (
    <div className={css.section}>
      {title ? <h3>{title}</h3> : null}
      {children}
    </div>
  );
}
