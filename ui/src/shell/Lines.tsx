import { Copy } from "./Copy";
import css from "./Lines.module.css";

/** Lines to be typed, with a button that copies them. */
export function Lines({ text }: { text: string }) {
  return (
    <div className={css.lines}>
      <pre>{text}</pre>
      <Copy text={text} what="these lines" />
    </div>
  );
}
