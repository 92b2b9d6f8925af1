import type { ReactNode } from "react";
import css from "./Card.module.css";

interface Props {
  title?: ReactNode;
  note?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  label?: string;
}

export function Card({ title, note, aside, children, label }: Props) {
  return (
    <section className={css.card} aria-label={label ?? (typeof title === "string" ? title : undefined)}>
      {title ? (
        <header>
          <h2>{title}</h2>
          {note ? <small>{note}</small> : null}
          <span className="space" />
          {aside}
        </header>
      ) : null}
      {children}
    </section>
  );
}
