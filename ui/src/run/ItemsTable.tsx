import { useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Step, StepItems } from "../api/types";
import { type Column, evidenceColumns, type ItemAtStep } from "../logic/items";
import { number } from "../logic/format";
import { useKeys } from "../shell/useKeys";
import { ItemLine } from "./ItemLine";
import css from "./Items.module.css";
import { ItemsHead } from "./ItemsHead";
import type { ItemsOfStep } from "./useItems";

const ROW = 36;
const PAUSE_MS = 60; // a thumb that is dragged passes pages that nobody reads
const TALLEST = 400_000; // rows: browsers do not lay out elements that are much taller

interface Props {
  runId: string;
  items: ItemsOfStep;
  head: StepItems;
  /** Another question begins at its first row. */
  question: string;
  sort: string | undefined;
  setSort: (sort: string | undefined) => void;
  setRange: (range: readonly [number, number]) => void;
  won: ReadonlySet<string>;
  rules: Step["rules"];
  colours: Map<string, string>;
}

export interface Shape {
  evidence: Column[];
  margin: boolean;
  score: boolean;
  template: string;
}

export function ItemsTable({ runId, items, head, question, sort, setSort, setRange, won, rules, colours }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const [cursor, setCursor] = useState(-1);
  const shape = useMemo(() => shapeOf(head, rules), [head, rules]);
  const count = Math.min(head.total, TALLEST);
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW,
    scrollPaddingStart: ROW, // the head lies over the first row
    overscan: 10,
  });
  const lines = virtual.getVirtualItems();
  const first = lines[0]?.index ?? 0;
  const last = lines.at(-1)?.index ?? 0;

  useEffect(() => {
    const later = setTimeout(() => setRange([first, last]), PAUSE_MS);
    return () => clearTimeout(later);
  }, [first, last, setRange]);
  useEffect(() => {
    frame.current?.scrollTo({ top: 0 });
    // oxlint-disable-next-line react/set-state-in-effect
    setCursor(-1);
  }, [question]);

  function open(row: ItemAtStep | undefined) {
    if (row) void navigate({ to: "/runs/$runId/item", params: { runId }, search: { item: row.itemId } });
  }
  function move(to: number) {
    const next = Math.min(count - 1, Math.max(0, to));
    setCursor(next);
    virtual.scrollToIndex(next);
  }
  useKeys({
    j: () => move(cursor + 1),
    k: () => move(cursor - 1),
    Enter: () => open(items.at(cursor)),
  });

  return (
    <>
      <div
        ref={frame}
        className={`${css.frame} ${items.old ? css.old : ""}`}
        role="table"
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keys
        tabIndex={0}
        aria-label="Items"
        aria-busy={items.old}
        aria-rowcount={head.total + 1}
      >
        <div className={css.inner}>
          <ItemsHead shape={shape} sort={sort} setSort={setSort} />
          <div style={{ height: virtual.getTotalSize(), position: "relative" }} role="rowgroup">
            {lines.map((place) => (
              <ItemLine
                key={place.index}
                runId={runId}
                index={place.index}
                row={items.at(place.index)}
                rules={rules}
                shape={shape}
                top={place.start}
                won={won}
                here={place.index === cursor}
                colours={colours}
                open={open}
              />
            ))}
          </div>
        </div>
      </div>
      {head.total > count ? (
        <p className={css.none}>The first {number(count)} of this order are shown: narrow it, or order it otherwise.</p>
      ) : null}
    </>
  );
}

/** Which columns there are: the same on every page. */
function shapeOf(head: StepItems, rules: Step["rules"]): Shape {
  const evidence = evidenceColumns(head);
  const numeric = new Set(evidence.filter((one) => one.numeric).map((one) => one.key));
  const margin = rules.some(
    ({ field, op, threshold, reason }) =>
      numeric.has(field) && typeof threshold === "number" && /[<>]/.test(op) && head.reasons[reason] !== undefined,
  );
  const score = head.scored > 0;
  const template = [
    "minmax(200px, 2fr)",
    "100px",
    "minmax(120px, 1fr)",
    ...evidence.map((one) => (one.numeric ? "minmax(72px, 0.5fr)" : "minmax(110px, 1fr)")),
    ...(margin ? ["70px"] : []),
    ...(score ? ["70px", "60px"] : []),
  ].join(" ");
  return { evidence, margin, score, template };
}
