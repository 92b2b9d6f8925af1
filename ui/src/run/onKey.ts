import type { KeyboardEvent } from "react";

/** Enter and blank act on what is no button of HTML. */
export function onKey(act: () => void) {
  return (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
}
