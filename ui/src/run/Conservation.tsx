import type { Step } from "../api/types";
import { number } from "../logic/format";

/** In and produced against every outcome, in distinct items; what nobody accounted for stands out. */
export function Conservation({ step }: { step: Step }) {
  const { counts } = step;
  const parts: [number, string][] = [
    [counts.accepted, "accepted"],
    [counts.rejected, "rejected"],
    [counts.selected, "selected"],
    [counts.outranked, "outranked"],
    [counts.merged, "merged"],
    [counts.consumed, "expanded into others"],
    [counts.accepted_by_count, "accepted, not itemised"],
    [counts.rejected_by_count, "rejected, not itemised"],
  ];
  const said = parts.filter(([n]) => n > 0).map(([n, name]) => `${number(n)} ${name}`);
  return (
    <div className="mut">
      {counts.in === null ? "unknown" : number(counts.in)} in + {number(counts.produced)} produced ={" "}
      {said.join(" + ") || "0"} +{" "}
      {counts.unaccounted === 0 ? (
        "0 unaccounted"
      ) : (
        <b style={{ color: "var(--ink)" }}>
          {counts.unaccounted === null ? "unknown" : number(counts.unaccounted)} unaccounted
        </b>
      )}
      {step.edges.map((edge) =>
        edge.lost_between === 0 ? null : (
          <div key={edge.step_id}>
            from {edge.step_name}:{" "}
            {edge.lost_between === null ? (
              `not known what was lost on the way${edge.cause ? ` (${edge.cause.replaceAll("_", " ")})` : ""}`
            ) : (
              <b style={{ color: "var(--ink)" }}>{number(edge.lost_between)} lost on the way</b>
            )}
          </div>
        ),
      )}
      {step.contradictions.map((one) => (
        <div key={one} style={{ color: "var(--warn)" }}>
          {one}
        </div>
      ))}
    </div>
  );
}
