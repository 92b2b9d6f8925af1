// What stands after the `?` is plain text, as a person would type it: no JSON, no types.

export type Search = Record<string, string>;

export function parseSearch(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") said.set(name, String(value));
  }
  const text = said.toString();
  return text ? `?${text}` : "";
}

/** A reader of an address: only these names, only where they say something. */
export function only<N extends string>(...names: N[]) {
  return (search: Record<string, unknown>): { [K in N]?: string } => {
    const found: { [K in N]?: string } = {};
    for (const name of names) {
      const value = search[name];
      if (value !== undefined && value !== null && String(value) !== "") found[name] = String(value);
    }
    return found;
  };
}
