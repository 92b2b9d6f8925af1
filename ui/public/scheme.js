// Before the first paint, so that a dark page never flashes light.
(function () {
  var said = null;
  try {
    said = localStorage.getItem("mantine-color-scheme-value");
  } catch (e) {
    /* storage may be closed to us */
  }
  var dark = said === "dark" || (said !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
