import { Link } from "@tanstack/react-router";
import type { ItemAtStep } from "../logic/items";
import { number, value } from "../logic/format";
import { Pill } from "../shell/Pill";
import { OUTCOME } from "../shell/tones";
import css from "./Items.module.css";
import type { Shape } from "./ItemsTable";

interface Props {
  runId: string;
  row: ItemAtStep;
  margin: number | null;
  shape: Shape;
  template: string;
  top: number;
  won: boolean;
  here: boolean;
  colours: Map<string, string>;
  open: () => void;
}

export function ItemLine({ runId, row, margin, shape, template, top, won, here, colours, open }: Props) {
  return (
    // The link in it does the same for keys; the row is a larger place to point at.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
    <div
      role="row"
      tabIndex={-1}
      className={`${css.line} ${css.row} ${here ? css.here : ""}`}
      style={{
        gridTemplateColumns: template,
        position: "absolute",
        top: 0,
        left: 0,
        right: 0,
        transform: `translateY(${top}px)`,
      }}
      onClick={open}
    >
      <span role="cell" className="cut">
        <Link
          to="/runs/$runId/item"
          params={{ runId }}
          search={{ item: row.itemId }}
          title={row.name ?? row.itemId}
          onClick={(event) => event.stopPropagation()}
        >
          {row.name ? (
            <>
              {row.name} <span className="mono faint">{row.itemId}</span>
            </>
          ) : (
            <span className="mono">{row.itemId}</span>
          )}
        </Link>
      </span>
      <span role="cell">
        {row.outcome ? (
          <Pill tone={OUTCOME[row.outcome] ?? "neutral"}>{row.outcome}</Pill>
        ) : (
          <span className="faint">observed</span>
        )}
      </span>
      <span role="cell" className="cut" title={row.reason ?? undefined}>
        {row.reason ? (
          <>
            <i className="swatch" style={{ background: colours.get(row.reason) ?? "var(--unk)" }} />
            {row.reason}
          </>
        ) : won && row.outcome !== "selected" ? (
          <span style={{ color: "var(--sel)" }}>selected in the end</span>
        ) : row.refItem ? (
          <span className="mut">into {row.refItem}</span>
        ) : (
          <span className="faint">–</span>
        )}
      </span>
      {shape.evidence.map((key) => (
        <span
          key={key}
          role="cell"
          className={`cut ${shape.numeric.has(key) ? "num" : ""}`}
          title={value(row.evidence[key])}
        >
          {row.evidence[key] == null ? (
            <span className="faint">{row.evidenceState?.replaceAll("_", " ") ?? "–"}</span>
          ) : (
            value(row.evidence[key])
          )}
        </span>
      ))}
      {shape.margin ? (
        <span role="cell" className="num">
          {margin === null ? <span className="faint">–</span> : number(margin).replace("-", "−")}
        </span>
      ) : null}
      {shape.score ? (
        <span role="cell" className="num">
          {row.score === null ? <span className="faint">–</span> : number(row.score)}
        </span>
      ) : null}
    </div>
  );
}
