import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { only, parseSearch, stringifySearch } from "./logic/address";
import { NotFound } from "./shell/NotFound";
import { Problem } from "./shell/Problem";
import { Shell } from "./shell/Shell";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs" });
  },
});

const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  validateSearch: only("q"),
  component: lazyRouteComponent(() => import("./runs/RunsPage"), "RunsPage"),
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: only("step", "outcome", "reason", "find"),
  component: lazyRouteComponent(() => import("./run/RunPage"), "RunPage"),
});

// An item's id may hold any character, also `/` and `..`: it stands behind the `?`.
const item = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId/item",
  validateSearch: only("item"),
  component: lazyRouteComponent(() => import("./item/ItemPage"), "ItemPage"),
});

const items = createRoute({
  getParentRoute: () => root,
  path: "/items",
  validateSearch: only("id", "name"),
  component: lazyRouteComponent(() => import("./item/ItemsPage"), "ItemsPage"),
});

const compare = createRoute({
  getParentRoute: () => root,
  path: "/compare",
  validateSearch: only("a", "b", "isolate"),
  component: lazyRouteComponent(() => import("./compare/ComparePage"), "ComparePage"),
});

const pipelines = createRoute({
  getParentRoute: () => root,
  path: "/pipelines",
  component: lazyRouteComponent(() => import("./pipelines/PipelinesPage"), "PipelinesPage"),
});

const ask = createRoute({
  getParentRoute: () => root,
  path: "/ask",
  validateSearch: only("question", "pipeline", "since", "q", "reason", "step", "to", "a", "b", "outcome"),
  component: lazyRouteComponent(() => import("./ask/AskPage"), "AskPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, runs, run, item, items, compare, pipelines, ask]),
  basepath: "/ui",
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultErrorComponent: ({ error }) => <Problem error={error} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
