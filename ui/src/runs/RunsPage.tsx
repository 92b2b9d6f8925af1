import { Button } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { number } from "../logic/format";
import { Problem } from "../shell/Problem";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { FilterBar } from "./FilterBar";
import { FilterRefused } from "./FilterRefused";
import { FirstSteps } from "./FirstSteps";
import css from "./RunsPage.module.css";
import { RunsTable } from "./RunsTable";
import { useLiveRuns } from "./useLiveRuns";
import { Refused } from "../api/client";

export function RunsPage() {
  const { q = "" } = useSearch({ from: "/runs" });
  return <Runs key={q} q={q} />;
}

function Runs({ q }: { q: string }) {
  useTitle(q ? `Runs: ${q}` : "Runs");
  const navigate = useNavigate();
  const [atTop, setAtTop] = useState(true);
  const [chosen, setChosen] = useState<string[]>([]);
  const live = useLiveRuns(q, atTop && chosen.length === 0);

  function setFilter(next: string) {
    void navigate({ to: "/runs", search: next ? { q: next } : {} });
  }
  function choose(runId: string) {
    setChosen((before) =>
      before.includes(runId) ? before.filter((one) => one !== runId) : [...before, runId].slice(-2),
    );
  }
  function compare() {
    const [a, b] = chosen;
    if (a && b) void navigate({ to: "/compare", search: { a, b } });
  }

  return (
    <>
      <h1 className={css.title}>
        Runs{" "}
        <small>
          {live.total === null ? "" : `${number(live.total)} ${q ? "fit the filter" : "recorded"}, newest first`}
        </small>
      </h1>
      <FilterBar q={q} change={setFilter} />
      {live.error instanceof Refused && live.error.status === 422 ? (
        <FilterRefused error={live.error} clear={() => setFilter("")} />
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
              <Button size="compact-sm" variant="light" onClick={live.accept}>
                Show {number(live.waiting)} new
              </Button>
            ) : null}
            <span className="space" />
            {chosen.length > 0 ? (
              <Button size="compact-sm" variant="subtle" color="gray" onClick={() => setChosen([])}>
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
          <RunsTable
            live={live}
            chosen={chosen}
            choose={choose}
            compare={compare}
            setAtTop={setAtTop}
            narrow={setFilter}
            q={q}
          />
        </>
      )}
    </>
  );
}
