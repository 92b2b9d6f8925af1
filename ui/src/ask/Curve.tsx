import { useElementSize } from "@mantine/hooks";
import { scaleLinear } from "d3-scale";
import { area, curveStepAfter, line } from "d3-shape";
import type { PointerEvent } from "react";
import type { Whatif } from "../api/types";
import { number } from "../logic/format";
import css from "./Ask.module.css";

interface Props {
  points: Whatif["curve"];
  now: number;
  chosen: number;
  choose: (limit: number) => void;
}

const HEIGHT = 170;
const BOTTOM = 22;
const TOP = 16;

/** How many items flip at each limit: a line where it is certain, a band where only bounds are known. */
export function Curve({ points, now, chosen, choose }: Props) {
  const { ref, width } = useElementSize();
  // Drawn once its width is known: drawn before, it would be narrow first and jump.
  const wide = Math.max(width, 1);
  const x = scaleLinear([points[0]?.threshold ?? 0, points.at(-1)?.threshold ?? 1], [4, wide - 4]);
  const most = Math.max(1, ...points.map((point) => point.flipped[1] ?? 0));
  const y = scaleLinear([0, most], [HEIGHT - BOTTOM, TOP]);
  const band = area<Whatif["curve"][number]>(
    (point) => x(point.threshold),
    (point) => y(point.flipped[0] ?? 0),
    (point) => y(point.flipped[1] ?? 0),
  ).curve(curveStepAfter);
  const upper = line<Whatif["curve"][number]>(
    (point) => x(point.threshold),
    (point) => y(point.flipped[1] ?? 0),
  ).curve(curveStepAfter);
  const lower = line<Whatif["curve"][number]>(
    (point) => x(point.threshold),
    (point) => y(point.flipped[0] ?? 0),
  ).curve(curveStepAfter);
  function pressed(event: PointerEvent<SVGSVGElement>) {
    if (event.type === "pointermove" && event.buttons === 0) return;
    const box = event.currentTarget.getBoundingClientRect();
    choose(x.invert(Math.min(wide - 4, Math.max(4, event.clientX - box.left))));
  }
  return (
    <div ref={ref}>
      <div style={{ minHeight: HEIGHT }}>{width === 0 ? null : drawn()}</div>
      <p className="mut" style={{ margin: "2px 0 10px", fontSize: 12.5 }}>
        Items that flip, over all runs. <i className="swatch" style={{ background: "var(--keep)" }} />
        at least, certainly <i className="swatch" style={{ background: "var(--r2)", marginLeft: 10 }} />
        at most: what lies between is not known
      </p>
    </div>
  );
  function drawn() {
    return (
      <svg
        className={css.curve}
        width={wide}
        height={HEIGHT}
        role="img"
        aria-label={`Items that flip, by limit: at most ${number(most)}`}
        onPointerDown={pressed}
        onPointerMove={pressed}
      >
        {y.ticks(3).map((tick) => (
          <g key={tick}>
            <line x1={0} x2={wide} y1={y(tick)} y2={y(tick)} stroke="var(--line)" />
            <text x={2} y={y(tick) - 3}>
              {number(tick)}
            </text>
          </g>
        ))}
        <path d={band(points) ?? ""} fill="var(--r2)" opacity={0.28} />
        <path d={upper(points) ?? ""} fill="none" stroke="var(--r2)" strokeWidth={1.5} strokeDasharray="4 3" />
        <path d={lower(points) ?? ""} fill="none" stroke="var(--keep)" strokeWidth={2} />
        <line className={css.now} x1={x(now)} x2={x(now)} y1={TOP - 4} y2={HEIGHT - BOTTOM} />
        <line className={css.chosen} x1={x(chosen)} x2={x(chosen)} y1={TOP - 4} y2={HEIGHT - BOTTOM} />
        <text x={x(now)} y={10} textAnchor="middle">
          now {number(now)}
        </text>
        {x.ticks(6).map((tick) => (
          <text key={tick} x={x(tick)} y={HEIGHT - 6} textAnchor="middle">
            {number(tick)}
          </text>
        ))}
      </svg>
    );
  }
}
