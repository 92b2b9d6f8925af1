import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { rules, stability } from "../api/asked";
import type { Pipeline } from "../api/types";
import { quoted } from "../logic/filter";
import { interval, number, percent, plain, plural, titled } from "../logic/format";
import { healthOf } from "../logic/health";
import { stepGroups } from "../logic/stepGroups";
import { Blank } from "../shell/Blank";
import { Card } from "../shell/Card";
import { Fact, Facts } from "../shell/Facts";
import { useNow } from "../shell/useNow";
import { Waiting } from "../shell/Waiting";
import { steps } from "../steps/asked";
import { StepsTable } from "../steps/StepsTable";
import { newestOf, NEWEST } from "./asked";
import { Findings } from "./Findings";
import { Questions } from "./Questions";
import { States } from "./States";
import { UnwellTable } from "./UnwellTable";

/** How one pipeline is: whether its runs end well, what is lost, how steady it decides, and where items go. */
export function PipelineHealth({ name, about }: { name: string; about: Pipeline | undefined }) {
  const now = useNow(30_000);
  const q = `pipeline:${quoted(name)}`;
  const newest = useQuery(newestOf(name));
  const rate = useQuery(stability({ pipeline: name }));
  const limits = useQuery(rules({ pipeline: name }));
  const found = useQuery(steps(q));
  const health = useMemo(() => healthOf(newest.data?.runs ?? []), [newest.data]);
  const groups = useMemo(() => stepGroups(found.data?.steps ?? []), [found.data]);
  if (!about)
    return (
      <Blank title={`No run of ${plain(name)} is recorded`}>
        <Link to="/pipelines" search={{}} className="link">
          All pipelines
        </Link>
      </Blank>
    );
  const worst = about.worst_step;
  const flips = rate.data;
  const ended = about.completed + about.failed + about.abandoned;
  const lost = health.losses.reduce((all, [, n]) => all + n, 0);
  const looked = newest.data && newest.data.total > NEWEST ? `the newest ${number(NEWEST)} runs` : "all runs";
  return (
    <>
      <div className="crumb">
        <Link to="/pipelines" search={{}} className="link">
          pipelines
        </Link>
        /
        <Link to="/runs" search={{ q }} className="link">
          {plural(about.runs, "run")}
        </Link>
        <States of={about} />
        <span className="space" />
        <Questions pipeline={name} />
      </div>
      <h1>
        <bdi>{titled(name)}</bdi>
      </h1>
      <div className="column" style={{ marginTop: 14 }}>
        <Card label="In figures">
          <Facts>
            <Fact
              figure={ended > 0 ? percent((about.failed + about.abandoned) / ended) : "–"}
              what={`of ${plural(ended, "run")} that ended failed or were abandoned`}
            />
            <Fact
              figure={newest.data ? number(lost) : "…"}
              what={
                lost > 0
                  ? `lost in ${plural(health.lossy, "run")}: ${health.losses.map(([cause, n]) => `${cause.replaceAll("_", " ")} ${number(n)}`).join(", ")}`
                  : `lost, in ${looked}`
              }
            />
            <Fact
              figure={flips ? percent(flips.flip_rate) : rate.error ? "–" : "…"}
              what={
                flips && flips.flip_rate !== null
                  ? `of ${plural(flips.decided, "repeated input")} flip (${interval(flips.interval)})`
                  : `of repeated inputs flip${rate.isPending ? "" : ": none came twice, or none decides"}`
              }
            />
            <Fact
              figure={percent(worst?.rejection_rate)}
              what={
                worst
                  ? `rejected at ${plain(worst.step_name)}, which rejects most; the mean`
                  : "no step rejects anything"
              }
            />
          </Facts>
        </Card>
        {rate.isPending || limits.isPending ? <Waiting lines={3} /> : null}
        <Findings pipeline={name} stability={flips?.sentence} rules={limits.data?.sentence} />
        {found.data ? (
          <StepsTable title="Its steps" note={plural(groups.length, "step")} groups={groups} q={q} named={false} />
        ) : (
          <Waiting />
        )}
        <UnwellTable rows={health.unwell} now={now} note={`of ${looked}`} />
      </div>
    </>
  );
}
