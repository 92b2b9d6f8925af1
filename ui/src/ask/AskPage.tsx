import { SegmentedControl, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import type { Scope } from "../api/asked";
import { pipelines } from "../api/queries";
import { useTitle } from "../shell/useTitle";
import { Waiting } from "../shell/Waiting";
import css from "./Ask.module.css";
import { AskHome } from "./AskHome";
import { QUESTIONS } from "./asks";

const SCREENS = {
  home: AskHome,
  whatif: lazy(() => import("./Whatif").then((found) => ({ default: found.Whatif }))),
  rules: lazy(() => import("./RulesAsked").then((found) => ({ default: found.RulesAsked }))),
  explain: lazy(() => import("./ExplainAsked").then((found) => ({ default: found.ExplainAsked }))),
  stability: lazy(() => import("./StabilityAsked").then((found) => ({ default: found.StabilityAsked }))),
  blame: lazy(() => import("./BlameAsked").then((found) => ({ default: found.BlameAsked }))),
};

/** Questions over many runs. */
export function AskPage() {
  const search = useSearch({ from: "/ask" });
  const navigate = useNavigate({ from: "/ask" });
  const known = useQuery(pipelines);
  const [q, setQ] = useState(search.q ?? "");
  const question = QUESTIONS.find((one) => one.value === search.question);
  const Screen = SCREENS[question?.value ?? "home"];
  const scope: Scope = { pipeline: search.pipeline, since: search.since, q: search.q };
  const set = (next: Record<string, string | undefined>) =>
    void navigate({ search: { ...search, ...next }, replace: true });
  useTitle(question?.label ?? "Ask");
  return (
    <>
      <div className={css.bar}>
        <SegmentedControl
          size="sm"
          data={QUESTIONS.map(({ value, label }) => ({ value, label }))}
          value={question?.value ?? ""}
          onChange={(next) => set({ question: next, reason: undefined, step: undefined, to: undefined })}
          aria-label="Question"
        />
      </div>
      <h1>{question?.asks ?? "What do you want to know?"}</h1>
      {!question || question.value === "explain" ? null : (
        <form
          className={css.scope}
          onSubmit={(event) => {
            event.preventDefault();
            set({ q: q.trim() || undefined });
          }}
        >
          <Select
            size="xs"
            aria-label="Pipeline"
            placeholder="every pipeline"
            clearable
            data={known.data?.pipelines.map((one) => one.pipeline) ?? []}
            value={search.pipeline ?? null}
            onChange={(next) => set({ pipeline: next ?? undefined, reason: undefined, step: undefined, to: undefined })}
          />
          <Select
            size="xs"
            w={120}
            aria-label="Since"
            placeholder="all time"
            clearable
            data={["1h", "1d", "7d", "30d"]}
            value={search.since ?? null}
            onChange={(next) => set({ since: next ?? undefined })}
          />
          <TextInput
            size="xs"
            className={css.grow ?? ""}
            aria-label="Filter of runs"
            placeholder="filter of runs, then Enter"
            classNames={{ input: css.mono ?? "" }}
            value={q}
            onChange={(event) => setQ(event.currentTarget.value)}
            onBlur={() => q.trim() !== (search.q ?? "") && set({ q: q.trim() || undefined })}
          />
        </form>
      )}
      <Suspense fallback={<Waiting />}>
        <Screen scope={scope} search={search} set={set} />
      </Suspense>
    </>
  );
}
