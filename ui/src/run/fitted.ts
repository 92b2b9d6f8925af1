const WIDTH = 6.6;

/** As much of a text as has room; SVG texts do not shorten themselves. */
export function fitted(text: string, room: number, perLetter = WIDTH): string {
  const letters = Math.max(4, Math.floor(room / perLetter));
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}
