import { createTheme, type MantineColorsTuple } from "@mantine/core";

const blue: MantineColorsTuple = [
  "#e9effc",
  "#d3dffa",
  "#b0c6f5",
  "#8aabf4",
  "#6a93ea",
  "#4878de",
  "#2f5fd0",
  "#2750b3",
  "#204293",
  "#193474",
];

const dark: MantineColorsTuple = [
  "#e8ecf2",
  "#c9d1db",
  "#9aa5b4",
  "#8592a3",
  "#3a4453",
  "#262d38",
  "#1a2029",
  "#161b23",
  "#12161d",
  "#0f1319",
];

export const theme = createTheme({
  primaryColor: "blue",
  colors: { blue, dark },
  primaryShade: 6,
  fontFamily: "var(--sans)",
  fontFamilyMonospace: "var(--mono)",
  defaultRadius: "md",
  respectReducedMotion: true,
  cursorType: "pointer",
});
