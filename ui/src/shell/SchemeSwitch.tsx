import { useMantineColorScheme } from "@mantine/core";
import { Icon } from "./Icon";
import css from "./Shell.module.css";

const NEXT = { auto: "light", light: "dark", dark: "auto" } as const;
const ICONS = { auto: "system", light: "sun", dark: "moon" } as const;
const NAMES = { auto: "as the system", light: "light", dark: "dark" } as const;

export function SchemeSwitch() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const said = `Colours: ${NAMES[colorScheme]}. Change to ${NAMES[NEXT[colorScheme]]}`;
  return (
    <button
      type="button"
      className={css.icon}
      onClick={() => setColorScheme(NEXT[colorScheme])}
      aria-label={said}
      title={said}
    >
      <Icon name={ICONS[colorScheme]} />
    </button>
  );
}
