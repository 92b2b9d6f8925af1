import type { Leaf } from "../logic/funnelGraph";

/** The fill of what left: by reason; hatched where nobody said why. */
export function leafColour(leaf: Leaf, colours: Map<string, string>): string {
  switch (leaf.kind) {
    case "selected":
      return "var(--sel)";
    case "left":
      return "var(--keep)";
    case "outranked":
      return "var(--r3)";
    case "merged":
      return "var(--r4)";
    case "rejected":
      return (leaf.reason ? colours.get(leaf.reason) : undefined) ?? "var(--unk)";
    default:
      return "url(#hatch)";
  }
}
