import type { ReactNode } from "react";
import css from "./Facts.module.css";

/** Figures side by side, in a card. */
export function Facts({ children }: { children: ReactNode }) {
  return <div className={css.facts}>{children}</div>;
}

/** One figure with what it is. */
export function Fact({ figure, what }: { figure: string; what: string }) {
  return (
    <div className={css.fact}>
      <b>{figure}</b>
      <span>{what}</span>
    </div>
  );
}
