import { client, taken } from "./client";
import type { SavedView } from "./types";

export type View = Pick<SavedView, "name" | "q" | "source" | "note">;

/** Saves a filter under a name. Refused with 409 where the name says something else, unless it is to be replaced. */
export function saveView({ name, q, source, note }: View, replace = false) {
  const body = { q, source, ...(note === null ? {} : { note }) };
  return replace
    ? taken(client.PUT("/views/{name}", { params: { path: { name } }, body }))
    : taken(client.POST("/views", { body: { name, ...body } }));
}

/** Removes a view. Refused with 409 while another view names it. */
export function removeView(name: string) {
  return taken(client.DELETE("/views/{name}", { params: { path: { name } } }));
}

/** A view under another name; where the old one must stay, there is no new one either. */
export async function renameView(from: View, to: string) {
  await saveView({ ...from, name: to });
  try {
    await removeView(from.name);
  } catch (error) {
    await removeView(to);
    throw error;
  }
}
