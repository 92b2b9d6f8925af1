"""Asks a server over HTTP, with typed answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from dxray.connection import DEFAULT_URL, ClientError, Connection, ServerNotReachable, typed
from dxray.two_sets import outcome_of, two_sets
from dxray.wire.answers import (
    Blame,
    Diff,
    Event,
    Explain,
    Flip,
    Funnel,
    Items,
    Labels,
    Lineage,
    Pipeline,
    Pipelines,
    Posted,
    Rules,
    Run,
    Runs,
    Stability,
    StepItems,
    Steps,
    View,
    Views,
    Whatif,
    Why,
    WhyRank,
)
from dxray.wire.ids import is_run_id

__all__ = ["DEFAULT_URL", "Client", "ClientError", "ServerNotReachable"]

LAST = "last"  # stands for the newest run


class Client(Connection):
    """A server, to ask.

    `api_url` defaults to `DXRAY_API_URL`, then to http://localhost:8000; `api_key` to `DXRAY_API_KEY`;
    `timeout` is in seconds, for each request. Every method raises `ClientError`, or its kind
    `ServerNotReachable`. Where an id of a run is asked for, `last` stands for the newest run. A client may be used from
    several threads, and as a context manager.
    """

    def runs(
        self,
        *,
        pipeline: str | None = None,
        status: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Runs:
        """A page of runs, newest first. Times may be words such as `7d`; `q` is a filter such as `status:failed`."""
        return self._ask(
            Runs,
            "/runs",
            pipeline=pipeline,
            status=status,
            since=since,
            until=until,
            q=q,
            limit=limit,
            offset=offset,
        )

    def run(self, run_id: str) -> Run:
        """One run with its steps and their counts."""
        return self._ask(Run, self._run_path(run_id))

    def steps(
        self,
        *,
        step_type: str | None = None,
        name: str | None = None,
        pipeline: str | None = None,
        rejection_rate_gt: float | None = None,
        rejection_rate_lt: float | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Steps:
        """A page of steps across runs, newest first. Rates lie in 0..1, and the limits are strict."""
        return self._ask(
            Steps,
            "/steps",
            step_type=step_type,
            name=name,
            pipeline=pipeline,
            rejection_rate_gt=rejection_rate_gt,
            rejection_rate_lt=rejection_rate_lt,
            since=since,
            until=until,
            q=q,
            limit=limit,
            offset=offset,
        )

    def events(
        self,
        run_id: str,
        *,
        step_id: str | None = None,
        outcome: str | None = None,
        reason: str | None = None,
        item: str | None = None,
    ) -> Iterator[Event]:
        """All events of a run that fit, page after page, as they are asked for."""
        path, cursor = self._run_path(run_id) + "/events", None
        while True:
            page = self.get(path, step_id=step_id, outcome=outcome, reason=reason, item=item, cursor=cursor)
            for raw in page.get("events") or ():
                yield typed(Event, raw)
            following = page.get("next_cursor")
            if following is None or following == cursor:
                return
            cursor = following

    def step_items(
        self,
        run_id: str,
        step_id: str,
        *,
        outcome: str | None = None,
        reason: str | None = None,
        q: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        bins_of: str | None = None,
        edge: float | None = None,
    ) -> StepItems:
        """A page of the items of a step, those that the run selected first.

        `sort`: `item_id`, `name`, `outcome`, `reason`, `score`, `rank` or `evidence.KEY`, with a `-` in front for the
        highest first. `q` is a filter such as `evidence.price:>100` or words of a name. With `bins_of`, a key of the
        evidence, the answer says how its values lie in the items that fit; a bin begins at `edge`.
        """
        path = self._run_path(run_id) + "/items"
        page = {"sort": sort, "limit": limit, "offset": offset, "bins_of": bins_of, "edge": edge}
        return self._ask(StepItems, path, step_id=step_id, outcome=outcome, reason=reason, q=q, **page)

    def pipelines(self) -> list[Pipeline]:
        """The pipelines, with their health."""
        return Pipelines(typed(Pipeline, raw) for raw in self.get("/pipelines").get("pipelines") or ())

    def why(self, run_id: str, item: str | int) -> Why:
        """What became of an item in a run, and why."""
        return self._ask(Why, self._run_path(run_id) + "/why", item=str(item))

    def why_rank(self, run_id: str, item: str | int, over: str | int) -> WhyRank:
        """Why an item stands before or behind another in a run, and what would swap them."""
        return self._ask(WhyRank, self._run_path(run_id) + "/why-rank", item=str(item), over=str(over))

    def funnel(self, run_id: str) -> Funnel:
        """Where the items of a run went: in, out and lost, by step and between steps."""
        return self._ask(Funnel, self._run_path(run_id) + "/funnel")

    def lineage(self, run_id: str, item: str | int, *, levels: int | None = None) -> Lineage:
        """What an item came from, back to the beginning, and what came of it, so many `levels` down."""
        return self._ask(Lineage, self._run_path(run_id) + "/lineage", item=str(item), levels=levels)

    def items(
        self,
        id: str | int | None = None,
        *,
        name: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Items:
        """An item across runs, newest first, by its id or by its name."""
        return self._ask(Items, "/items", id=None if id is None else str(id), name=name, limit=limit, offset=offset)

    def diff(self, a: str, b: str, *, isolate: bool = False) -> Diff:
        """Where two runs parted, and what became of what.

        `isolate`: also the smallest changes of limits that give an item in `a` the fate it has in `b`.
        """
        return self._ask(Diff, "/diff", a=self._id(a), b=self._id(b), isolate=isolate or None)

    def blame(
        self,
        pipeline: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
    ) -> Blame:
        """Which steps are to blame for what labels say was wrong."""
        return self._ask(Blame, "/blame", pipeline=pipeline, since=since, until=until, q=q)

    def explain(
        self,
        a: str | None = None,
        b: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        versions: tuple[str, str] | None = None,
        label: str | None = None,
        pipeline: str | None = None,
        outcome: str | None = None,
        step: str | None = None,
    ) -> Explain:
        """What the runs of filter `b` share that those of filter `a` do not.

        In place of the filters: `since` (and `until`) compares the runs of that time with those of the same length
        before; `versions=("1", "2")` those of two code versions; `label` those that have it with those that have not.
        `outcome`: of their items (`rejected`, `accepted`, ...), or of the runs (`failed`, `label:bad`).
        """
        sets = two_sets(a, b, since=since, until=until, versions=versions, label=label, pipeline=pipeline)
        return self._post(Explain, "/explain", **sets, outcome=outcome_of(outcome, label), step_name=step)

    def whatif(
        self,
        changes: Sequence[Mapping[str, Any]] = (),
        *,
        set: Mapping[str, Any] | None = None,
        disable: Sequence[str] = (),
        sweep: Mapping[str, Any] | None = None,
        step: str | None = None,
        pipeline: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
    ) -> Whatif:
        """What other limits would have done: `set={"price_too_high": 120}`, and `disable` names rules to switch off.

        `sweep`: a rule at many limits, `{"reason": ..., "from": 50, "to": 200, "points": 60}`. `step`: only rules of
        the steps with that name. `changes` are rows as the API takes them, each with a `step_name` of its own.
        """
        asked = [{"reason": reason, "threshold": limit} for reason, limit in (set or {}).items()]
        asked += [{"reason": reason, "disable": True} for reason in disable]
        at = {} if step is None else {"step_name": step}
        rows = [*({**at, **one} for one in (*changes, *asked))]
        of = {"pipeline": pipeline, "since": since, "until": until, "q": q}
        return self._post(Whatif, "/whatif", changes=rows, sweep=None if sweep is None else {**at, **sweep}, **of)

    def flip(self, run_id: str, item: str | int) -> Flip:
        """Which other limits would select an item."""
        return self._post(Flip, "/flip", run_id=self._id(run_id), item_id=str(item))

    def stability(
        self,
        pipeline: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
    ) -> Stability:
        """Whether the same input leads to the same decision, and where repeated runs part."""
        return self._ask(Stability, "/stability", pipeline=pipeline, since=since, until=until, q=q)

    def rules(
        self,
        pipeline: str | None = None,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        q: str | None = None,
        step: str | None = None,
    ) -> Rules:
        """Which rules matter, which are dead, and which limit to look at first."""
        return self._ask(Rules, "/rules", pipeline=pipeline, since=since, until=until, q=q, step=step)

    def labels(self, run_id: str) -> Labels:
        """The labels of a run that stand."""
        return self._ask(Labels, self._run_path(run_id) + "/labels")

    def label(self, run_id: str, label: str, item: str | int | None = None, note: str | None = None) -> Labels:
        """Say of a run that it was `good` or `bad`, or of an item that it was `expected`, `wrong` or to `keep`."""
        said = {"label": label, "item_id": None if item is None else str(item), "note": note}
        body = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
        return typed(Labels, self._send("POST", self._run_path(run_id) + "/labels", body)[1])

    def unlabel(self, run_id: str, number: int) -> Labels:
        """Take back a label of a run, by its number."""
        return typed(Labels, self._send("DELETE", f"{self._run_path(run_id)}/labels/{number}")[1])

    def views(self) -> Views:
        """The saved views, the one that was saved last first."""
        return self._ask(Views, "/views")

    def view(self, name: str) -> View:
        """A saved view, and how many fit it now."""
        return self._ask(View, _view_path(name))

    def save_view(self, name: str, q: str, *, source: str = "runs", note: str | None = None) -> View:
        """Keep a filter on `runs` or `steps` under a name, in place of what the name stood for."""
        said = {"q": q, "source": source, "note": note}
        body = json.dumps({key: value for key, value in said.items() if value is not None}).encode()
        return typed(View, self._send("PUT", _view_path(name), body)[1])

    def remove_view(self, name: str) -> Views:
        """Remove a saved view; those that are left."""
        return typed(Views, self._send("DELETE", _view_path(name))[1])

    # Recording and operations

    def post_run(self, run: Mapping[str, Any]) -> Posted:
        """Record one whole run, written by hand. The same run again changes nothing."""
        try:
            body = json.dumps(run, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ClientError(0, {"detail": f"the run cannot be written as JSON: {error}"}) from error
        status, answer = self._send("POST", "/runs", body)
        data = answer.get("data") or {}
        raw = {"run_id": data.get("run_id", ""), "created": status == 201, "message": answer.get("message")}
        return typed(Posted, raw)

    def _run_path(self, run_id: str) -> str:
        run_id = self._id(run_id)
        # An address cannot carry every text, and no run has such an id.
        if not is_run_id(run_id):
            fix = "a run id has 1 to 128 of A-Z a-z 0-9 . _ : -"
            raise ClientError(404, {"title": "Not found", "detail": f"there is no run {run_id!r}", "fix": fix})
        return "/runs/" + quote(run_id, safe=":")

    def _id(self, run_id: str) -> str:
        if run_id != LAST:
            return run_id
        newest = self.runs(limit=1)
        if not newest.runs:
            fix = 'record one with your pipeline, or type "dxray demo"'
            raise ClientError(404, {"title": "Not found", "detail": "no run is recorded yet", "fix": fix})
        return newest[0].run_id


def _view_path(name: str) -> str:
    return "/views/" + quote(name, safe="", errors="replace")
