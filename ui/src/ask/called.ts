import type { Scope } from "../api/asked";

/** The call that gives the same answer: its address, and how Python says it. */
export function called(question: string, scope: Scope): { api: string; python: string } {
  const said = Object.entries(scope).filter((one): one is [string, string] => Boolean(one[1]));
  const query = new URLSearchParams(said).toString();
  const named = said.map(([name, text]) => `${name}=${JSON.stringify(text)}`).join(", ");
  return { api: `/${question}${query ? `?${query}` : ""}`, python: `${question}(${named})` };
}
