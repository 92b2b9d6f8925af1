// Paul Tol's muted scheme: told apart by people with any kind of colour vision. The values are in styles/base.css.
// --r3 and --r4 are taken by what was outranked and merged.
const REASONS = ["var(--r1)", "var(--r2)", "var(--r5)", "var(--r6)", "var(--r7)", "var(--r8)"];

/** A colour for each reason of a run, the same wherever it is shown. */
export function reasonColours(reasons: readonly string[]): Map<string, string> {
  return new Map([...new Set(reasons)].map((reason, at) => [reason, REASONS[at % REASONS.length] ?? "var(--r1)"]));
}
