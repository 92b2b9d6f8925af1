import { plain } from "./format";

export interface Failure {
  type: string | null;
  message: string;
  /** The lines of code that it passed, the innermost last. */
  where: string[];
}

/** What stopped a run or a step, as the SDK records it; what was posted may be of any shape. */
export function failureOf(error: unknown): Failure | null {
  if (error === null || error === undefined) return null;
  if (typeof error !== "object" || Array.isArray(error)) return { type: null, message: text(error), where: [] };
  const { type, message, where } = error as Record<string, unknown>;
  if (typeof type !== "string" && typeof message !== "string") return { type: null, message: text(error), where: [] };
  return {
    type: typeof type === "string" && type ? plain(type) : null,
    message: text(message ?? ""),
    where: (Array.isArray(where) ? where : [where]).filter((one) => one !== null && one !== undefined).map(text),
  };
}

function text(found: unknown): string {
  return plain(typeof found === "string" ? found : JSON.stringify(found));
}
