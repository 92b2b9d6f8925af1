import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Step } from "../api/types";
import type { ItemAtStep } from "../logic/items";
import { marginOf } from "../logic/margin";
import { number, plain, value } from "../logic/format";
import { Pill } from "../shell/Pill";
import { OUTCOME } from "../shell/tones";
import css from "./Items.module.css";
import type { Shape } from "./ItemsTable";

interface Props {
  runId: string;
  index: number;
  row: ItemAtStep | undefined;
  rules: Step["rules"];
  shape: Shape;
  top: number;
  won: ReadonlySet<string>;
  here: boolean;
  colours: Map<string, string>;
  open: (row: ItemAtStep | undefined) => void;
}

export function ItemLine({ runId, index, row, rules, shape, top, won, here, colours, open }: Props) {
  return (
    // The link in it does the same for keys; the row is a larger place to point at.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
    <div
      role="row"
      tabIndex={-1}
      aria-rowindex={index + 2}
      className={`${css.line} ${css.row} ${here ? css.here : ""}`}
      style={{ gridTemplateColumns: shape.template, transform: `translateY(${top}px)` }}
      onClick={() => open(row)}
    >
      {row ? (
        <Cells runId={runId} row={row} rules={rules} shape={shape} won={won.has(row.itemId)} colours={colours} />
      ) : (
        shape.template.split(/ (?![^(]*\))/).map((_, at) => (
          <span key={at} role="cell" aria-busy="true">
            <Skeleton height={10} width={`${40 + ((index * 13 + at * 29) % 45)}%`} />
          </span>
        ))
      )}
    </div>
  );
}

interface CellsProps {
  runId: string;
  row: ItemAtStep;
  rules: Step["rules"];
  shape: Shape;
  won: boolean;
  colours: Map<string, string>;
}

function Cells({ runId, row, rules, shape, won, colours }: CellsProps) {
  const margin = shape.margin ? marginOf(row, rules) : null;
  const name = row.name === null ? null : plain(row.name);
  const id = plain(row.itemId);
  return (
    <>
      <span role="cell" className="cut">
        <Link
          to="/runs/$runId/item"
          params={{ runId }}
          search={{ item: row.itemId }}
          title={name ?? id}
          onClick={(event) => event.stopPropagation()}
        >
          {name ? (
            <>
              {name} <span className="mono faint">{id}</span>
            </>
          ) : (
            <span className="mono">{id}</span>
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
      <span role="cell" className="cut" title={row.reason === null ? undefined : plain(row.reason)}>
        {row.reason ? (
          <>
            <i className="swatch" style={{ background: colours.get(row.reason) ?? "var(--unk)" }} />
            {plain(row.reason)}
          </>
        ) : won && row.outcome !== "selected" ? (
          <span style={{ color: "var(--sel)" }}>selected in the end</span>
        ) : row.refItem ? (
          <span className="mut">into {plain(row.refItem)}</span>
        ) : (
          <span className="faint">–</span>
        )}
      </span>
      {shape.evidence.map(({ key, numeric }) => (
        <span key={key} role="cell" className={`cut ${numeric ? "num" : ""}`} title={value(row.evidence[key])}>
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
      {shape.score
        ? [row.score, row.rank].map((found, at) => (
            <span key={at} role="cell" className="num">
              {found === null ? <span className="faint">–</span> : number(found)}
            </span>
          ))
        : null}
    </>
  );
}
