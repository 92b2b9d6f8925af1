import type { ReactNode } from "react";
import css from "./Blank.module.css";

/** Where there is nothing to show: it says why, and what to do. */
export function Blank({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={css.blank}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}
