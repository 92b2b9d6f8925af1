import { Button, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { explain } from "../api/asked";
import { quoted } from "../logic/filter";
import { Blank } from "../shell/Blank";
import { CopyMenu } from "../shell/CopyMenu";
import { Problem } from "../shell/Problem";
import { Say } from "../shell/Say";
import { Waiting } from "../shell/Waiting";
import css from "./Ask.module.css";
import type { Asking } from "./asking";
import { SINCE_YESTERDAY } from "./asks";
import { ExplainFunnel } from "./ExplainFunnel";
import { ExplainSlices } from "./ExplainSlices";

const OUTCOMES = ["rejected", "accepted", "selected", "outranked", "failed", "label:bad"];
const READY: [string, string, string][] = [
  [...SINCE_YESTERDAY],
  ["the last hour against the day before", "since:1d until:1h", "since:1h"],
  ["runs labelled bad against those labelled good", "label:good", "label:bad"],
  ["version 2 against version 1", "version:1", "version:2"],
];

/** What the items or runs of one set share that those of the other do not. */
export function ExplainAsked({ scope, search, set }: Asking) {
  const prefix = scope.pipeline ? `pipeline:${quoted(scope.pipeline)} ` : "";
  const [a, setA] = useState(search["a"] ?? "");
  const [b, setB] = useState(search["b"] ?? "");
  const outcome = search["outcome"] ?? "rejected";
  const asked = useQuery(explain(search["a"] ?? "", search["b"] ?? "", outcome));
  const answer = asked.data;
  const ready = Boolean(search["a"] && search["b"]);
  const others = READY.filter(([, one]) => prefix + one !== search["a"]).map(([what, one, other]) => (
    <p key={what}>
      <button
        type="button"
        className="asLink"
        onClick={() => {
          setA(prefix + one);
          setB(prefix + other);
          set({ a: prefix + one, b: prefix + other, outcome: other.startsWith("label:") ? other : undefined });
        }}
      >
        {what}
      </button>{" "}
      <span className="mono faint">
        {one} / {other}
      </span>
    </p>
  ));
  return (
    <>
      <form
        className={css.scope}
        onSubmit={(event) => {
          event.preventDefault();
          set({ a: a.trim() || undefined, b: b.trim() || undefined });
        }}
      >
        <TextInput
          size="xs"
          className={css.grow ?? ""}
          label="A: the reference"
          placeholder="label:good"
          classNames={{ input: css.mono ?? "" }}
          value={a}
          onChange={(event) => setA(event.currentTarget.value)}
        />
        <TextInput
          size="xs"
          className={css.grow ?? ""}
          label="B: what is looked at"
          placeholder="label:bad"
          classNames={{ input: css.mono ?? "" }}
          value={b}
          onChange={(event) => setB(event.currentTarget.value)}
        />
        <Select
          size="xs"
          w={140}
          label="Outcome"
          data={OUTCOMES}
          value={outcome}
          allowDeselect={false}
          onChange={(next) => set({ outcome: next ?? undefined })}
        />
        <Button size="xs" type="submit" style={{ alignSelf: "end" }}>
          Explain
        </Button>
      </form>
      {!ready ? (
        <Blank title="Two filters of runs: a reference, and what is looked at">{others}</Blank>
      ) : asked.error ? (
        <Problem error={asked.error} again={() => void asked.refetch()} />
      ) : !answer ? (
        <Waiting />
      ) : (
        <>
          <Say
            sentence={answer.sentence}
            aside={
              <CopyMenu
                api="/explain"
                body={{ a: search["a"], b: search["b"], outcome }}
                python={`explain(${JSON.stringify(search["a"])}, ${JSON.stringify(search["b"])}, outcome=${JSON.stringify(outcome)})`}
                json={answer}
              />
            }
          >
            {answer.runs_a === 0 || answer.runs_b === 0 ? others : null}
          </Say>
          <div className="column">
            <ExplainSlices answer={answer} />
            <ExplainFunnel answer={answer} />
          </div>
        </>
      )}
    </>
  );
}
