import { useQuery } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { why } from "../api/queries";
import { quoted } from "../logic/filter";
import { plain, shortId, titled } from "../logic/format";
import { LabelsCard } from "../run/LabelsCard";
import { Blank } from "../shell/Blank";
import { CopyMenu } from "../shell/CopyMenu";
import { Pill } from "../shell/Pill";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { OUTCOME } from "../shell/tones";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import { DidYouMean } from "./DidYouMean";
import { FlipCard } from "./FlipCard";
import { HistoryCard } from "./HistoryCard";
import { Journey } from "./Journey";
import { LineageCard } from "./LineageCard";
import { RankCard } from "./RankCard";
import { TwinCard } from "./TwinCard";

const KEPT = new Set(["selected", "survived"]);

/** One item of a run: what became of it, and why. */
export function ItemPage() {
  const { runId } = useParams({ from: "/runs/$runId/item" });
  const { item = "" } = useSearch({ from: "/runs/$runId/item" });
  const asked = useQuery({ ...why(runId, item), enabled: item !== "" });
  const answer = asked.data;
  const name = answer?.name ?? item;
  useTitle(`${name} in ${shortId(runId)}`);
  if (!item) return <Blank title="No item is named">An address of an item ends in ?item=ID.</Blank>;
  if (asked.error) return <Problem error={asked.error} again={() => void asked.refetch()} />;
  if (!answer) return <Waiting lines={10} />;
  const kept = KEPT.has(answer.verdict);
  const named = <bdi>{titled(name)}</bdi>;
  return (
    <>
      <div className="crumb">
        <Link to="/runs" search={{ q: `pipeline:${quoted(answer.pipeline)}` }} className="link">
          {answer.pipeline}
        </Link>
        /
        <Link to="/runs/$runId" params={{ runId }} className="link mono">
          {shortId(runId)}
        </Link>
        / <span className="mono cut">{plain(item)}</span>
        <Pill tone={OUTCOME[answer.verdict] ?? "neutral"}>{answer.verdict.replaceAll("_", " ")}</Pill>
        <span className="space" />
        <CopyMenu
          api={`/runs/${encodeURIComponent(runId)}/why?item=${encodeURIComponent(item)}`}
          python={`why(${JSON.stringify(runId)}, ${JSON.stringify(item)})`}
          json={answer}
        />
      </div>
      <h1>{kept ? <>Why was {named} selected?</> : <>Why was {named} not selected?</>}</h1>
      <Say sentence={answer.sentence} unknown={answer.unknown} hint={answer.hint}>
        <DidYouMean found={answer.did_you_mean} runId={runId} />
      </Say>
      <div className="grid">
        <div className="column">
          <Journey why={answer} />
          <LineageCard runId={runId} item={item} />
        </div>
        <div className="column">
          {answer.twin ? <TwinCard runId={runId} why={answer} twin={answer.twin} /> : null}
          {answer.verdict === "rejected" || answer.verdict === "outranked" ? (
            <FlipCard runId={runId} item={item} />
          ) : null}
          {answer.verdict === "outranked" ? <RankCard runId={runId} item={item} /> : null}
          <HistoryCard item={item} runId={runId} />
          <LabelsCard runId={runId} itemId={item} />
        </div>
      </div>
    </>
  );
}
