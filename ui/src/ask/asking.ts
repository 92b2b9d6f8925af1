import type { Scope } from "../api/asked";

/** What every question's screen is given: what narrows it, its own words in the address, and how to change them. */
export interface Asking {
  scope: Scope;
  search: Readonly<Record<string, string | undefined>>;
  set: (next: Record<string, string | undefined>) => void;
}
