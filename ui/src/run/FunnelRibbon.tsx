import type { Ribbon } from "../logic/funnelLayout";
import { leafColour } from "./leafColour";

export function FunnelRibbon({ ribbon, colours }: { ribbon: Ribbon; colours: Map<string, string> }) {
  if (ribbon.width !== null)
    return <path d={ribbon.path} fill="none" stroke="var(--keepbg)" strokeWidth={ribbon.width} />;
  if (!ribbon.leaf) return <path d={ribbon.path} fill="url(#grow)" />;
  return <path d={ribbon.path} fill={leafColour(ribbon.leaf, colours)} opacity={0.85} />;
}
