import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type PointerEvent, useId, useState } from "react";
import { times } from "../api/queries";
import type { Times } from "../api/types";
import { always, saysWhen, within } from "../logic/filter";
import { number, plural } from "../logic/format";
import { bucketAt, long, moment, parts, period, STACK, stretch, sum, together } from "../logic/runTimes";
import css from "./RunTimes.module.css";

const HEIGHT = 52;
const WIDEST = 40;

/** From one bar to another, while a stretch of time is chosen. */
interface Chosen {
  from: number;
  to: number;
}

/** When the runs of a filter started, by status. A stretch of time that is chosen here goes into the filter. */
export function RunTimes({ q, change }: { q: string; change: (q: string) => void }) {
  const { data } = useQuery(times(q));
  if (!data || (data.total === 0 && !saysWhen(q))) return null;
  return <Bars data={data} q={q} change={change} />;
}

/** Apart, since what is measured must be there from the first time this is drawn. */
function Bars({ data, q, change }: { data: Times; q: string; change: (q: string) => void }) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const [dragging, setDragging] = useState(false);
  const help = useId();
  const { buckets, width_ms } = data;
  const count = buckets.length;
  const unit = width_ms ?? 1;
  const step = count > 0 ? width / count : 0;
  const bar = Math.max(1, Math.min(WIDEST, step - (step > 5 ? 2 : 0.5)));
  const most = Math.max(1, ...buckets.map(({ counts }) => sum(counts)));
  const [low, high] = chosen ? [Math.min(chosen.from, chosen.to), Math.max(chosen.from, chosen.to)] : [0, -1];
  const meant = chosen ? stretch(buckets, low, high) : null;

  function take(range: Chosen | null) {
    const asked = range ? stretch(buckets, range.from, range.to) : null;
    setChosen(null);
    setDragging(false);
    if (asked) change(within(q, asked));
  }
  function under(event: PointerEvent<HTMLElement>): number {
    const box = event.currentTarget.getBoundingClientRect();
    return bucketAt((event.clientX - box.left) / (box.width || 1), count);
  }
  function pressed(event: KeyboardEvent) {
    const at = chosen?.to ?? (event.key === "ArrowRight" || event.key === "Home" ? -1 : count);
    const moved = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: count - 1 }[event.key];
    if (moved !== undefined) {
      const to = Math.min(count - 1, Math.max(0, moved));
      setChosen({ from: event.shiftKey && chosen ? chosen.from : to, to });
    } else if (event.key === "Enter" && chosen) take(chosen);
    else if (event.key === "Escape" && chosen) setChosen(null);
    else return;
    event.preventDefault();
  }

  return (
    <section className={css.times} aria-label="When the runs started">
      <header>
        {STACK.toReversed().map((status) =>
          data.counts[status] ? (
            <span key={status} className={css.of}>
              <i className={css[status]} /> {status} <b>{number(data.counts[status])}</b>
            </span>
          ) : null,
        )}
        {data.undated > 0 ? <span className="mut">{plural(data.undated, "run")} at no possible time</span> : null}
        <span className="space" />
        {data.total === 0 || count === 1 ? null : (
          <span className="mut">{`${long(unit)} a bar, ${number(most)} at most`}</span>
        )}
        {saysWhen(q) ? (
          <button type="button" className={css.clear} onClick={() => change(always(q))}>
            Clear range
          </button>
        ) : null}
      </header>
      <div ref={ref} />
      {count === 0 ? null : (
        <div
          className={css.bars}
          role="slider"
          tabIndex={0}
          aria-label="Stretch of time"
          aria-describedby={help}
          aria-valuemin={1}
          aria-valuemax={count}
          aria-valuenow={(chosen?.to ?? 0) + 1}
          aria-valuetext={meant ? said(meant.since, meant.until) : data.sentence}
          onKeyDown={pressed}
          onBlur={() => !dragging && setChosen(null)}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            setDragging(true);
            setChosen({ from: under(event), to: under(event) });
          }}
          onPointerMove={(event) => {
            const to = under(event);
            setChosen({ from: dragging && chosen ? chosen.from : to, to });
          }}
          onPointerUp={() => dragging && take(chosen)}
          onPointerCancel={() => (setDragging(false), setChosen(null))}
          onPointerLeave={() => !dragging && setChosen(null)}
        >
          <svg width={width} height={HEIGHT} aria-hidden="true">
            {chosen ? (
              <rect className={css.range} x={low * step} width={(high - low + 1) * step} y={0} height={HEIGHT} />
            ) : null}
            {buckets.map(({ from, counts }, at) =>
              parts(counts, most, HEIGHT - 2).map(({ status, y, height }) => (
                <rect
                  key={`${from} ${status}`}
                  className={css[status]}
                  x={at * step + (step - bar) / 2}
                  width={bar}
                  y={y + 2}
                  height={height}
                />
              )),
            )}
            <line className={css.ground} x1={0} x2={width} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
          </svg>
          {data.total === 0 ? <p className={css.none}>No run fits in this time.</p> : null}
          {meant ? (
            <p className={css.tip} style={place(((low + high + 1) / 2) * step, width)} aria-hidden="true">
              {said(meant.since, meant.until)}
            </p>
          ) : null}
        </div>
      )}
      {count === 0 ? null : (
        <div className={css.axis} aria-hidden="true">
          <span>{moment(data.from ?? "", unit)}</span>
          <span className={css.drag}>drag to choose a time</span>
          <span>{moment(data.to ?? "", unit)}</span>
        </div>
      )}
      <p id={help} className="visually-hidden">
        Left and right go from bar to bar, with Shift the stretch grows, Enter puts it into the filter.
      </p>
    </section>
  );

  function said(from: string, to: string): string {
    const counts = together(buckets, low, high);
    const ends = STACK.toReversed()
      .filter((status) => counts[status])
      .map((status) => `${number(counts[status])} ${status}`);
    return `${period(from, to, unit)}: ${ends.join(", ") || "no run"}`;
  }
}

/** Within the picture, wherever the bars are. */
function place(middle: number, width: number) {
  return middle < width / 2 ? { left: Math.max(0, middle - 120) } : { right: Math.max(0, width - middle - 120) };
}
