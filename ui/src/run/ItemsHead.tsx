import { nextSort } from "../logic/items";
import css from "./Items.module.css";
import type { Shape } from "./ItemsTable";

interface Props {
  shape: Shape;
  sort: string | undefined;
  setSort: (sort: string | undefined) => void;
}

/** The names of the columns: pressed, they order the items by it, the other way, and as they came. */
export function ItemsHead({ shape, sort, setSort }: Props) {
  const press = (field: string, name: string, descending = false) => (
    <button
      type="button"
      className={sortOf(sort, field) ? css.sorted : undefined}
      onClick={() => setSort(nextSort(sort, field, descending))}
      title={`Order by ${name}`}
    >
      {name}
      <span aria-hidden="true">{ARROWS[sortOf(sort, field) ?? "none"]}</span>
    </button>
  );
  return (
    <div className={`${css.line} ${css.head}`} style={{ gridTemplateColumns: shape.template }} role="row">
      <span role="columnheader" aria-sort={sortOf(sort, "name") ?? sortOf(sort, "item_id") ?? "none"}>
        {press("name", "name")} <span className="faint">·</span> {press("item_id", "id")}
      </span>
      {["outcome", "reason"].map((field) => (
        <span key={field} role="columnheader" aria-sort={sortOf(sort, field) ?? "none"}>
          {press(field, field)}
        </span>
      ))}
      {shape.evidence.map(({ key, numeric }) => (
        <span
          key={key}
          role="columnheader"
          aria-sort={sortOf(sort, `evidence.${key}`) ?? "none"}
          className={`cut ${numeric ? "num" : ""}`}
        >
          {press(`evidence.${key}`, key)}
        </span>
      ))}
      {shape.margin ? (
        <span role="columnheader" className="num">
          margin
        </span>
      ) : null}
      {shape.score
        ? ["score", "rank"].map((field) => (
            <span key={field} role="columnheader" aria-sort={sortOf(sort, field) ?? "none"} className="num">
              {press(field, field, field === "score")}
            </span>
          ))
        : null}
    </div>
  );
}

const ARROWS = { ascending: " ↑", descending: " ↓", none: "" } as const;

function sortOf(sort: string | undefined, field: string): "ascending" | "descending" | undefined {
  return sort === field ? "ascending" : sort === `-${field}` ? "descending" : undefined;
}
