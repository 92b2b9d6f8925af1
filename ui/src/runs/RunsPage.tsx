import { Button } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useRef, useState } from "react";
import { Refused } from "../api/client";
import { PAGE } from "../api/queries";
import { number } from "../logic/format";
import { Problem } from "../shell/Problem";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { Away } from "./Away";
import { FilterBar } from "./FilterBar";
import { FilterRefused } from "./FilterRefused";
import { FirstSteps } from "./FirstSteps";
import css from "./RunsPage.module.css";
import { RunsTable } from "./RunsTable";
import { RunTimes } from "./RunTimes";
import { useLiveRuns } from "./useLiveRuns";

const NOTHING: string[] = [];

export function RunsPage() {
  const { q = "" } = useSearch({ from: "/runs" });
  useTitle(q ? `Runs: ${q}` : "Runs");
  const navigate = useNavigate();
  const list = useRef<HTMLDivElement>(null);
  const [read, setRead] = useState({ q, atTop: true, chosen: NOTHING });
  if (read.q !== q) setRead({ q, atTop: true, chosen: NOTHING }); // another filter, another list
  const { atTop, chosen } = read;
  const live = useLiveRuns(q, atTop && chosen.length === 0);
  const refused = live.error instanceof Refused && live.error.status === 422 ? live.error : null;

  // The same functions each time: else every row would be drawn anew with every page that arrives.
  const setFilter = useCallback(
    (next: string) => void navigate({ to: "/runs", search: next ? { q: next } : {} }),
    [navigate],
  );
  const choose = useCallback((runId: string) => {
    setRead((before) => ({
      ...before,
      chosen: before.chosen.includes(runId)
        ? before.chosen.filter((one) => one !== runId)
        : [...before.chosen, runId].slice(-2),
    }));
  }, []);
  function compare() {
    const [a, b] = chosen;
    if (a && b) void navigate({ to: "/compare", search: { a, b } });
  }
  function showNew() {
    live.accept();
    list.current?.querySelector("[role=rowgroup]")?.scrollTo({ top: 0 });
  }

  return (
    <>
      <h1 className={css.title}>
        Runs{" "}
        <small>
          {live.total === null ? "" : `${number(live.total)} ${q ? "fit the filter" : "recorded"}, newest first`}
        </small>
      </h1>
      <FilterBar source="runs" q={q} change={setFilter} />
      {refused ? null : <RunTimes q={q} change={setFilter} />}
      {refused ? (
        <FilterRefused error={refused} clear={() => setFilter("")} />
      ) : live.error && live.rows.length === 0 ? (
        <Problem error={live.error} again={live.again} />
      ) : live.loading ? (
        <Waiting lines={10} />
      ) : live.rows.length === 0 ? (
        <FirstSteps q={q} clear={() => setFilter("")} />
      ) : (
        <>
          <div className={css.bar} aria-live="polite">
            {live.waiting > 0 ? (
              <Button size="compact-sm" variant="light" onClick={showNew}>
                Show {number(live.waiting)}
                {live.waiting < PAGE ? "" : "+"} new
              </Button>
            ) : null}
            {live.away === null ? null : <Away since={live.away} />}
            <span className="space" />
            {chosen.length > 0 ? (
              <Button
                size="compact-sm"
                variant="subtle"
                color="gray"
                onClick={() => setRead((before) => ({ ...before, chosen: NOTHING }))}
              >
                Clear
              </Button>
            ) : null}
            {chosen.length === 1 ? <span className="mut">choose one more to compare</span> : null}
            {chosen.length === 2 ? (
              <Button size="compact-sm" onClick={compare}>
                Compare the two
              </Button>
            ) : null}
          </div>
          <div ref={list} className={css.list}>
            <RunsTable
              key={q}
              live={live}
              chosen={chosen}
              choose={choose}
              compare={compare}
              setAtTop={(top) => setRead((before) => (before.atTop === top ? before : { ...before, atTop: top }))}
              narrow={setFilter}
              q={q}
            />
          </div>
        </>
      )}
    </>
  );
}
