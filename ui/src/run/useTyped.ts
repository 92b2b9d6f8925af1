import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useRef, useState } from "react";

const PAUSE_MS = 60; // another filter of a step that was read is answered in less

/** A text that is being typed: told when the typing pauses, and taken over when it changes from elsewhere. */
export function useTyped(said: string, tell: (text: string) => void): [string, (text: string) => void] {
  const [typed, setTyped] = useState(said);
  const told = useRef(said);
  const later = useDebouncedCallback((text: string) => {
    told.current = text;
    tell(text);
  }, PAUSE_MS);
  useEffect(() => {
    if (said === told.current) return;
    told.current = said;
    // oxlint-disable-next-line react/set-state-in-effect
    setTyped(said);
  }, [said]);
  return [
    typed,
    (text) => {
      setTyped(text);
      later(text);
    },
  ];
}
