import css from "./Ask.module.css";

/** One figure with what it is. */
export function Fact({ figure, what }: { figure: string; what: string }) {
  return (
    <div className={css.fact}>
      <b>{figure}</b>
      <span>{what}</span>
    </div>
  );
}
