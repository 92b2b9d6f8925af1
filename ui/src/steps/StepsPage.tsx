import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { Refused } from "../api/client";
import { number, plural } from "../logic/format";
import { stepGroups } from "../logic/stepGroups";
import { FilterBar } from "../runs/FilterBar";
import { FilterRefused } from "../runs/FilterRefused";
import { FirstSteps } from "../runs/FirstSteps";
import { Blank } from "../shell/Blank";
import { CopyMenu } from "../shell/CopyMenu";
import { Problem } from "../shell/Problem";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { steps } from "./asked";
import { SeenTable } from "./SeenTable";
import css from "./Steps.module.css";
import { StepsTable } from "./StepsTable";

/** Which steps, across runs and pipelines, look like this? */
export function StepsPage() {
  const { q = "", pipeline, step } = useSearch({ from: "/steps" });
  const navigate = useNavigate({ from: "/steps" });
  const asked = useQuery(steps(q));
  const answer = asked.data;
  const groups = useMemo(() => stepGroups(answer?.steps ?? []), [answer]);
  const open = groups.find((one) => one.pipeline === pipeline && one.name === step);
  useTitle(q ? `Steps: ${q}` : "Steps");
  const setFilter = (next: string) => void navigate({ search: next ? { q: next } : {} });
  return (
    <>
      <h1 className={css.title}>
        Steps{" "}
        <small>
          {answer
            ? answer.total > answer.steps.length
              ? `the newest ${number(answer.steps.length)} of ${number(answer.total)}${q ? " that fit" : ""}`
              : `${number(answer.total)} ${q ? "fit the filter" : "recorded"}`
            : ""}
        </small>
      </h1>
      <FilterBar key={q} source="steps" q={q} change={setFilter} />
      {asked.error instanceof Refused && asked.error.status === 422 ? (
        <FilterRefused error={asked.error} clear={() => setFilter("")} />
      ) : asked.error ? (
        <Problem error={asked.error} again={() => void asked.refetch()} />
      ) : !answer ? (
        <Waiting lines={8} />
      ) : answer.total === 0 ? (
        q ? (
          <Blank title="No step fits this filter">
            <p>All words of a filter must hold for one and the same step.</p>
            <Button size="xs" variant="default" onClick={() => setFilter("")}>
              Show all steps
            </Button>
          </Blank>
        ) : (
          <FirstSteps q="" clear={() => undefined} />
        )
      ) : (
        <div className="column" style={{ marginTop: 10 }}>
          {open ? <SeenTable group={open} /> : null}
          <StepsTable
            title="By step, those that reject most first"
            note={plural(groups.length, "step")}
            groups={groups}
            q={q}
            aside={
              <CopyMenu
                api={`/steps${q ? `?q=${encodeURIComponent(q)}` : ""}`}
                python={q ? `steps(q=${JSON.stringify(q)})` : "steps()"}
                json={answer}
              />
            }
          />
        </div>
      )}
    </>
  );
}
