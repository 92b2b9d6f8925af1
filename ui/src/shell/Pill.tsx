import type { ReactNode } from "react";
import css from "./Pill.module.css";

export type Tone = "good" | "bad" | "warn" | "neutral" | "blue";

export function Pill({
  tone = "neutral",
  title,
  children,
}: {
  tone?: Tone;
  title?: string | undefined;
  children: ReactNode;
}) {
  return (
    <span className={`${css.pill} ${css[tone]}`} title={title}>
      {children}
    </span>
  );
}
