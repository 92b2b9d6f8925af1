import { useElementSize } from "@mantine/hooks";
import type { Why } from "../api/types";
import { number, value } from "../logic/format";
import css from "./Journey.module.css";

const WIDEST = 620;
const LINE = 30;

type Predicate = NonNullable<Why["predicate"]>;

/** The observed value against the limit, on one line; where they are no numbers, in words. */
export function MarginBar({ predicate }: { predicate: Predicate }) {
  const { ref, width } = useElementSize();
  const { field, op, threshold, observed, margin } = predicate;
  if (typeof threshold !== "number" || typeof observed !== "number" || margin === null) {
    return (
      <p>
        <span className="mono">{field}</span> was <b className="mono">{value(observed)}</b>; the rule is{" "}
        <span className="mono">
          {op} {value(threshold)}
        </span>
      </p>
    );
  }
  const wide = Math.min(WIDEST, Math.max(width, 200));
  // The limit stands in the middle; one third of the line is the distance, so that near and far look alike and are told apart in figures.
  const reach = Math.max(Math.abs(observed - threshold) * 3, Math.abs(threshold) * 0.25, 1e-9);
  const at = (one: number) => Math.min(wide - 8, Math.max(8, wide / 2 + ((one - threshold) / reach) * (wide / 2)));
  const passesBelow = op.startsWith("<");
  const [left, right] = passesBelow ? [0, at(threshold)] : [at(threshold), wide];
  const said = `${number(observed)} · margin ${number(margin).replace("-", "−")}`;
  const end = at(observed) > wide / 2;
  return (
    <div ref={ref}>
      <svg
        width={wide}
        height={62}
        className={css.picture}
        role="img"
        aria-label={`${field} was ${number(observed)}, the rule is ${op} ${number(threshold)}: margin ${number(margin)}`}
      >
        <line x1={4} x2={wide - 4} y1={LINE} y2={LINE} stroke="var(--line)" strokeWidth={6} strokeLinecap="round" />
        <line
          x1={Math.max(4, left)}
          x2={Math.min(wide - 4, right)}
          y1={LINE}
          y2={LINE}
          stroke="var(--keepbg)"
          strokeWidth={6}
          strokeLinecap="round"
        />
        <line x1={at(threshold)} x2={at(threshold)} y1={16} y2={44} stroke="var(--ink)" />
        <text x={at(threshold)} y={11} textAnchor="middle">
          {field} {op} {number(threshold)}
        </text>
        <circle cx={at(observed)} cy={LINE} r={6} fill="var(--r1)" />
        <text x={at(observed) + (end ? -10 : 10)} y={55} textAnchor={end ? "end" : "start"}>
          {said}
        </text>
      </svg>
    </div>
  );
}
