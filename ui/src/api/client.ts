import createClient from "openapi-fetch";
import type { Problem } from "./types";
import type { paths } from "./types.gen";

/** An answer that says no, as RFC 9457 has it: what is wrong, where, and what to do. */
export class Refused extends Error {
  readonly status: number;
  readonly field: string | null;
  readonly fix: string | null;
  readonly title: string;

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? `the server answered ${status}`);
    this.status = status;
    this.title = problem.title ?? "The server refused";
    this.field = problem.field ?? null;
    this.fix = problem.fix ?? null;
  }
}

/** The server did not answer at all. */
export class Unreachable extends Error {}

export const client = createClient<paths>({ baseUrl: window.location.origin });

interface Answered<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The content of an answer. Throws `Refused` or `Unreachable`. */
export async function taken<T>(asked: Promise<Answered<T>>): Promise<T> {
  let got: Answered<T>;
  try {
    got = await asked;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Unreachable("the server does not answer", { cause: error });
  }
  if (!got.response.ok || got.data === undefined) {
    throw new Refused(got.response.status, (got.error ?? {}) as Partial<Problem>);
  }
  return got.data;
}
