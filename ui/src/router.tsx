import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Unreachable } from "./api/client";
import { only, parseSearch, stringifySearch } from "./logic/address";
import { NotFound } from "./shell/NotFound";
import { Problem } from "./shell/Problem";
import { Shell } from "./shell/Shell";

/**
 * A part of the page that does not load. Where the server answers, the page was built again, and the router loads it
 * anew; where it does not, that is said, and the page stays.
 */
async function away(error: unknown): Promise<never> {
  await fetch("/healthz").catch(() => {
    throw new Unreachable("the server does not answer", { cause: error });
  });
  throw error;
}

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
  component: lazyRouteComponent(() => import("./runs/RunsPage").catch(away), "RunsPage"),
});

const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: only("step", "outcome", "reason", "find", "sort"),
  component: lazyRouteComponent(() => import("./run/RunPage").catch(away), "RunPage"),
});

// An item's id may hold any character, also `/` and `..`: it stands behind the `?`.
const item = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId/item",
  validateSearch: only("item"),
  component: lazyRouteComponent(() => import("./item/ItemPage").catch(away), "ItemPage"),
});

const items = createRoute({
  getParentRoute: () => root,
  path: "/items",
  validateSearch: only("id", "name"),
  component: lazyRouteComponent(() => import("./item/ItemsPage").catch(away), "ItemsPage"),
});

const compare = createRoute({
  getParentRoute: () => root,
  path: "/compare",
  validateSearch: only("a", "b", "isolate"),
  component: lazyRouteComponent(() => import("./compare/ComparePage").catch(away), "ComparePage"),
});

const steps = createRoute({
  getParentRoute: () => root,
  path: "/steps",
  validateSearch: only("q", "pipeline", "step"),
  component: lazyRouteComponent(() => import("./steps/StepsPage").catch(away), "StepsPage"),
});

// A pipeline's name may hold any character too.
const pipelines = createRoute({
  getParentRoute: () => root,
  path: "/pipelines",
  validateSearch: only("pipeline"),
  component: lazyRouteComponent(() => import("./pipelines/PipelinesPage").catch(away), "PipelinesPage"),
});

const ask = createRoute({
  getParentRoute: () => root,
  path: "/ask",
  validateSearch: only("question", "pipeline", "since", "q", "reason", "step", "to", "a", "b", "outcome"),
  component: lazyRouteComponent(() => import("./ask/AskPage").catch(away), "AskPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, runs, run, item, items, compare, steps, pipelines, ask]),
  basepath: "/ui",
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultErrorComponent: ({ error }) => <Problem error={error} again={() => window.location.reload()} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
