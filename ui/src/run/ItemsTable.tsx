import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import type { Step } from "../api/types";
import { compare, evidenceColumns, type ItemAtStep } from "../logic/items";
import { marginOf } from "../logic/margin";
import { useKeys } from "../shell/useKeys";
import { ItemLine } from "./ItemLine";
import css from "./Items.module.css";

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });
const helper = createColumnHelper<typeof features, ItemAtStep>();
const ROW = 36;

interface Props {
  runId: string;
  rows: ItemAtStep[];
  won: ReadonlySet<string>;
  rules: Step["rules"];
  colours: Map<string, string>;
}

export interface Shape {
  evidence: string[];
  numeric: ReadonlySet<string>;
  margin: boolean;
  score: boolean;
}

export function ItemsTable({ runId, rows, won, rules, colours }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const [cursor, setCursor] = useState(-1);
  const shape = useMemo(() => shapeOf(rows, rules), [rows, rules]);
  const columns = useMemo(
    () =>
      helper.columns([
        helper.accessor((row) => row.name ?? row.itemId, { id: "item", sortFn: sorted }),
        helper.accessor((row) => row.outcome, { id: "outcome", sortFn: sorted }),
        helper.accessor((row) => row.reason, { id: "reason", sortFn: sorted }),
        ...shape.evidence.map((key) =>
          helper.accessor((row) => row.evidence[key], { id: `evidence ${key}`, header: key, sortFn: sorted }),
        ),
        ...(shape.margin ? [helper.accessor((row) => marginOf(row, rules), { id: "margin", sortFn: sorted })] : []),
        ...(shape.score ? [helper.accessor((row) => row.score, { id: "score", sortFn: sorted })] : []),
      ]),
    [shape, rules],
  );
  const table = useTable({
    features,
    columns,
    data: rows,
    getRowId: (row: ItemAtStep) => row.itemId,
    sortDescFirst: false,
  });
  const lines = table.getRowModel().rows;
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW,
    overscan: 10,
  });
  const template = gridOf(shape);

  function open(row: ItemAtStep | undefined) {
    if (row) void navigate({ to: "/runs/$runId/item", params: { runId }, search: { item: row.itemId } });
  }
  function move(by: number) {
    const next = Math.min(lines.length - 1, Math.max(0, cursor + by));
    setCursor(next);
    virtual.scrollToIndex(next);
  }
  useKeys({ j: () => move(1), k: () => move(-1), Enter: () => open(lines[cursor]?.original) });

  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keys
    <div ref={frame} className={css.frame} role="table" tabIndex={0} aria-label="Items" aria-rowcount={lines.length}>
      <div className={css.inner}>
        <div className={`${css.line} ${css.head}`} style={{ gridTemplateColumns: template }} role="row">
          {table.getHeaderGroups()[0]?.headers.map((header) => {
            const way = header.column.getIsSorted();
            const name = header.column.id.replace(/^evidence /, "");
            const right = shape.numeric.has(name) || name === "margin" || name === "score";
            return (
              <span
                key={header.id}
                role="columnheader"
                aria-sort={way === "asc" ? "ascending" : way === "desc" ? "descending" : "none"}
                className={right ? "num" : ""}
              >
                <button type="button" onClick={header.column.getToggleSortingHandler()}>
                  {name}
                  {way === "asc" ? " ↑" : way === "desc" ? " ↓" : ""}
                </button>
              </span>
            );
          })}
        </div>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="rowgroup">
          {virtual.getVirtualItems().map((place) => {
            const row = lines[place.index]?.original;
            return row ? (
              <ItemLine
                key={row.itemId}
                runId={runId}
                row={row}
                margin={shape.margin ? marginOf(row, rules) : null}
                shape={shape}
                template={template}
                top={place.start}
                won={won.has(row.itemId)}
                here={place.index === cursor}
                colours={colours}
                open={() => open(row)}
              />
            ) : null;
          })}
        </div>
      </div>
    </div>
  );
}

function sorted(
  one: { getValue: (id: string) => unknown },
  other: { getValue: (id: string) => unknown },
  id: string,
): number {
  return compare(one.getValue(id), other.getValue(id));
}

function shapeOf(rows: ItemAtStep[], rules: Step["rules"]): Shape {
  const evidence = evidenceColumns(rows);
  const numeric = new Set(
    evidence.filter((key) => rows.every((row) => row.evidence[key] == null || typeof row.evidence[key] === "number")),
  );
  return {
    evidence,
    numeric,
    margin: rows.some((row) => marginOf(row, rules) !== null),
    score: rows.some((row) => row.score !== null),
  };
}

function gridOf(shape: Shape): string {
  const evidence = shape.evidence.map((key) => (shape.numeric.has(key) ? "minmax(72px, 0.5fr)" : "minmax(130px, 1fr)"));
  return [
    "minmax(220px, 2fr)",
    "104px",
    "minmax(140px, 1fr)",
    ...evidence,
    ...(shape.margin ? ["78px"] : []),
    ...(shape.score ? ["78px"] : []),
  ].join(" ");
}
