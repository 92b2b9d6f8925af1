/** Enter, where it opens the row of a cursor: on a link or a button it stays what it is there. */
export function enter(event: KeyboardEvent, open: () => void): void {
  const own = event.target instanceof Element ? event.target.closest<HTMLElement>("a, button") : null;
  if (own) own.click();
  else open();
}
