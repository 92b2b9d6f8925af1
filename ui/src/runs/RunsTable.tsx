import { useMediaQuery } from "@mantine/hooks";
import { useNavigate } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { useKeys } from "../shell/useKeys";
import { useNow } from "../shell/useNow";
import { RunLine } from "./RunLine";
import css from "./RunsTable.module.css";
import type { LiveRuns } from "./useLiveRuns";

interface Props {
  live: LiveRuns;
  chosen: string[];
  choose: (runId: string) => void;
  compare: () => void;
  setAtTop: (atTop: boolean) => void;
  q: string;
  narrow: (q: string) => void;
}

const WIDE = 52;
const NARROW = 104;
const AHEAD = 20;

export function RunsTable({ live, chosen, choose, compare, setAtTop, q, narrow }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const now = useNow();
  const [cursor, setCursor] = useState<string | null>(null);
  const narrowScreen = useMediaQuery("(max-width: 980px)") ?? false;
  const rows = live.rows;
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => (narrowScreen ? NARROW : WIDE),
    getItemKey: (at) => rows[at]?.run_id ?? at,
    overscan: 6,
  });
  useEffect(() => virtual.measure(), [virtual, narrowScreen]);

  function move(by: number) {
    const at = rows.findIndex((row) => row.run_id === cursor);
    const next = Math.min(rows.length - 1, Math.max(0, at + by));
    setCursor(rows[next]?.run_id ?? null);
    virtual.scrollToIndex(next);
  }
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    x: () => cursor && choose(cursor),
    c: compare,
    Enter: () => cursor && void navigate({ to: "/runs/$runId", params: { runId: cursor } }),
  });

  function scrolled() {
    const element = frame.current;
    if (!element) return;
    setAtTop(element.scrollTop < 8);
    const last = virtual.getVirtualItems().at(-1)?.index ?? 0;
    if (last > rows.length - AHEAD) live.more();
  }

  return (
    <div className={css.table} role="table" aria-label="Runs" aria-rowcount={live.total ?? rows.length}>
      <div className={`${css.head} ${css.line}`} role="row">
        {["", "status", "input", "output", "candidates", "worst step", "took", "labels", "when"].map((name) => (
          <span key={name} role="columnheader" className={name === "candidates" || name === "took" ? "num" : ""}>
            {name || <span className="visually-hidden">choose</span>}
          </span>
        ))}
      </div>
      <div
        ref={frame}
        className={css.frame}
        onScroll={scrolled}
        role="rowgroup"
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keys
        tabIndex={0}
        aria-label="Rows"
      >
        <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((place) => {
            const row = rows[place.index];
            if (!row) return null;
            return (
              <RunLine
                key={row.run_id}
                row={row}
                now={now}
                top={place.start}
                height={place.size}
                index={place.index}
                here={row.run_id === cursor}
                chosen={chosen.includes(row.run_id)}
                choose={choose}
                q={q}
                narrow={narrow}
              />
            );
          })}
        </div>
        {live.hasMore ? <p className={css.end}>Loading more…</p> : null}
      </div>
    </div>
  );
}
