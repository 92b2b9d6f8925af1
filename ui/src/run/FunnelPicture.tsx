import { useElementSize, useMergedRef } from "@mantine/hooks";
import { useEffect, useMemo, useRef } from "react";
import type { Funnel } from "../api/types";
import { funnelGraph } from "../logic/funnelGraph";
import { funnelLayout } from "../logic/funnelLayout";
import css from "./Funnel.module.css";
import { FunnelLeaf } from "./FunnelLeaf";
import { FunnelRibbon } from "./FunnelRibbon";
import { FunnelStepBox } from "./FunnelStepBox";
import type { Chosen } from "./RunPage";

interface Props {
  funnel: Funnel;
  colours: Map<string, string>;
  chosen: Chosen;
  choose: (next: Chosen) => void;
}

/** Steps in order, width by items; what left leaves downwards by reason, and what nobody accounted for is hatched. */
export function FunnelPicture({ funnel, colours, chosen, choose }: Props) {
  const { ref, width } = useElementSize();
  const graph = useMemo(() => funnelGraph(funnel), [funnel]);
  const layout = useMemo(() => funnelLayout(graph, Math.max(width, 320)), [graph, width]);
  const frame = useRef<HTMLDivElement>(null);
  const chosenAt = layout.boxes.find((box) => box.step.step_id === chosen.step)?.x ?? 0;
  useEffect(() => {
    const element = frame.current;
    if (element && (chosenAt < element.scrollLeft || chosenAt > element.scrollLeft + element.clientWidth - 120))
      element.scrollLeft = chosenAt - 30;
  }, [chosenAt]);
  return (
    <div
      className={css.frame}
      ref={useMergedRef(ref, frame)}
      role="region"
      aria-label="Funnel"
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reachable by keys
      tabIndex={layout.width > width + 1 ? 0 : undefined}
    >
      <svg width={layout.width} height={layout.height} role="group" aria-label={funnel.sentence}>
        <defs>
          <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="5" height="5" fill="var(--panel)" />
            <rect width="2.4" height="5" fill="var(--faint)" />
          </pattern>
          <linearGradient id="grow">
            <stop offset="0" stopColor="var(--keepbg)" stopOpacity="0.3" />
            <stop offset="1" stopColor="var(--keepbg)" />
          </linearGradient>
        </defs>
        {layout.ribbons.map((ribbon) => (
          <FunnelRibbon key={ribbon.key} ribbon={ribbon} colours={colours} />
        ))}
        {layout.boxes.map((box) => (
          <FunnelStepBox
            key={box.step.step_id}
            box={box}
            room={layout.columnWidth - 16}
            on={chosen.step === box.step.step_id}
            choose={() => choose({ step: box.step.step_id })}
          />
        ))}
        {layout.marks.map((mark) => (
          <FunnelLeaf
            key={mark.leaf.key}
            mark={mark}
            colours={colours}
            on={chosen.step === mark.leaf.stepId && chosen.reason !== undefined && chosen.reason === mark.leaf.reason}
            choose={choose}
          />
        ))}
      </svg>
    </div>
  );
}
