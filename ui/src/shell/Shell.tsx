import { Link, Outlet } from "@tanstack/react-router";
import { useState } from "react";
import { Help } from "./Help";
import { Icon } from "./Icon";
import { QuickSearch } from "./QuickSearch";
import { SchemeSwitch } from "./SchemeSwitch";
import css from "./Shell.module.css";
import { useKeys } from "./useKeys";

const PLACES = [
  { to: "/runs", name: "Runs" },
  { to: "/steps", name: "Steps" },
  { to: "/pipelines", name: "Pipelines" },
  { to: "/ask", name: "Ask" },
] as const;

/** What stands around every page. */
export function Shell() {
  const [help, setHelp] = useState(false);
  useKeys({ "?": () => setHelp(true) });
  return (
    <>
      <a className={css.skip} href="#content">
        Skip to the content
      </a>
      <header className={css.top}>
        <Link to="/runs" className={css.logo} aria-label="X-Ray, all runs">
          <span aria-hidden="true" className={css.mark} />
          <span className={css.name}>X-Ray</span>
        </Link>
        <nav className={css.nav} aria-label="Pages">
          {PLACES.map(({ to, name }) => (
            <Link key={to} to={to} activeProps={{ className: css.here, "aria-current": "page" }}>
              {name}
            </Link>
          ))}
        </nav>
        <span className="space" />
        <QuickSearch />
        <SchemeSwitch />
        <button
          type="button"
          className={`${css.icon} ${css.keys}`}
          onClick={() => setHelp(true)}
          aria-label="Keys and help"
          title="Keys and help (?)"
        >
          <Icon name="help" />
        </button>
      </header>
      <main id="content" className={css.main} tabIndex={-1}>
        <Outlet />
      </main>
      <Help opened={help} close={() => setHelp(false)} />
    </>
  );
}
