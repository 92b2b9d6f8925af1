import { type ReactNode, useEffect, useRef, useState } from "react";

/** What may be larger than its place: it scrolls, and is reachable by keys where it does. */
export function Scroll({ label, most, children }: { label: string; most?: number; children: ReactNode }) {
  const frame = useRef<HTMLDivElement>(null);
  const [over, setOver] = useState(false);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watch = new ResizeObserver(() => {
      setOver(element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight);
    });
    watch.observe(element);
    for (const child of element.children) watch.observe(child);
    return () => watch.disconnect();
    // oxlint-disable-next-line react/exhaustive-effect-dependencies -- other children are other things to watch
  }, [children]);
  return (
    <div
      ref={frame}
      className="scroll"
      style={most ? { maxHeight: most } : undefined}
      {...(over ? { tabIndex: 0, role: "region", "aria-label": label } : {})}
    >
      {children}
    </div>
  );
}
