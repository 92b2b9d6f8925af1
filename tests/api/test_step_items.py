"""The items of a step: one row each, with what became of them, in any order, narrowed, page by page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.questions import step_items as questions

HOSTILE = ["../a/b?c#d", 'q"uote', "back\\slash", "<script>alert(1)</script>", "ünï", "% _", "a\nb", "0" * 300]


@pytest.fixture(scope="module")
def filled(shared: TestClient, stands: dict[str, Any]) -> TestClient:
    shared.post("/runs", json=stands)
    return shared


def step_of(api: TestClient, run_id: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        step for step in api.get(f"/runs/{run_id}").json()["steps"] if step["step_name"] == name
    )
    return found


def ask(api: TestClient, run_id: str, name: str, **params: Any) -> dict[str, Any]:
    step_id = step_of(api, run_id, name)["step_id"]
    answer = api.get(f"/runs/{run_id}/items", params={"step_id": step_id, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_a_row_says_all_that_is_known_of_an_item(filled: TestClient) -> None:
    answer = ask(filled, "stands", "filter_candidates", sort="item_id")
    assert answer["items"][0] == {
        "item_id": "p0",
        "name": "Stand 0",  # given where it was produced
        "kind": None,
        "outcome": "rejected",
        "reason": "price_too_high",
        "score": None,
        "rank": None,
        "by": "code",
        "evidence": {"price": 129.5},
        "evidence_state": "kept",
        "ref_item": None,
        "ref_kind": None,
        "events": 1,
    }
    assert [(item["score"], item["rank"]) for item in answer["items"]] == [
        (None, None), (None, None), (0.2, 4), (0.3, 3), (0.4, 2), (0.5, 1),
    ]  # fmt: skip
    assert answer["items"][1]["by"] == "model"
    assert (answer["total"], answer["of"], answer["scored"]) == (6, 6, 4)
    assert answer["outcomes"] == {"accepted": 4, "rejected": 2}
    assert answer["reasons"] == {"duplicate": 1, "price_too_high": 1}
    assert answer["evidence_keys"] == [{"key": "price", "kind": "number", "n": 5}]
    assert answer["sentence"] == "filter_candidates names 6 items: 4 accepted, 2 rejected."
    assert answer["unknown"] is None


def test_without_an_order_what_the_run_selected_comes_first(filled: TestClient) -> None:
    assert ids(ask(filled, "stands", "filter_candidates")) == ["p3", "p0", "p1", "p2", "p4", "p5"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("item_id", "p0 p1 p2 p3 p4 p5"),
        ("-item_id", "p5 p4 p3 p2 p1 p0"),
        ("-name", "p5 p4 p3 p2 p1 p0"),
        ("outcome", "p2 p3 p4 p5 p0 p1"),
        ("reason", "p1 p0 p2 p3 p4 p5"),
        ("-reason", "p0 p1 p2 p3 p4 p5"),  # none comes last, either way
        ("score", "p2 p3 p4 p5 p0 p1"),
        ("-score", "p5 p4 p3 p2 p0 p1"),
        ("rank", "p5 p4 p3 p2 p0 p1"),
        ("evidence.price", "p2 p3 p4 p5 p0 p1"),
        ("-evidence.price", "p0 p5 p4 p3 p2 p1"),
    ],
)
def test_orders(filled: TestClient, sort: str, expected: str) -> None:
    assert ids(ask(filled, "stands", "filter_candidates", sort=sort)) == expected.split()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"outcome": "rejected"}, "p0 p1"),
        ({"reason": "duplicate"}, "p1"),
        ({"reason": "no such reason"}, ""),
        ({"q": "STAND 4"}, "p4"),
        ({"q": '"stand 4"'}, "p4"),
        ({"q": "p1"}, "p1"),
        ({"q": "item_id:p2"}, "p2"),
        ({"q": '-name:"Stand 1" outcome:rejected'}, "p0"),
        ({"q": "evidence.price:>=93"}, "p0 p3 p4 p5"),
        ({"q": "evidence.price:>=93", "outcome": "accepted"}, "p3 p4 p5"),
        ({"q": "-evidence.price:92"}, "p0 p1 p3 p4 p5"),
        ({"q": "score:>0.3"}, "p4 p5"),
        ({"q": "rank:<=2"}, "p4 p5"),
        ({"q": "-score:0.5 score:>0"}, "p2 p3 p4"),
    ],
)
def test_filters(filled: TestClient, params: dict[str, str], expected: str) -> None:
    answer = ask(filled, "stands", "filter_candidates", sort="item_id", **params)
    assert ids(answer) == expected.split()
    assert answer["total"] == len(expected.split())
    assert answer["of"] == 6
    assert answer["outcomes"] == {"accepted": 4, "rejected": 2}, "what there is to choose from does not shrink"
    assert answer["sentence"] == f"{len(expected.split())} of the 6 items that filter_candidates names fit."


def test_outcomes_are_those_that_are_counted(filled: TestClient) -> None:
    """What was scored where something was chosen is outranked, also where no event says so."""
    for name in ("search", "filter_candidates", "dedupe", "select_best"):
        counts = step_of(filled, "stands", name)["counts"]
        for outcome in ("accepted", "rejected", "selected", "outranked", "merged"):
            assert ask(filled, "stands", name, outcome=outcome)["total"] == counts[outcome], (name, outcome)
    assert ask(filled, "stands", "search")["outcomes"] == {"produced": 6, "consumed": 1}
    assert ask(filled, "stands", "dedupe", outcome="merged")["items"][0]["ref_item"] == "p4"


def test_a_cut_off_says_what_became_of_the_scored(api: TestClient) -> None:
    scored = [{"item_id": f"i{n}", "outcome": "produced", "score": n % 5} for n in range(10)]
    api.post(
        "/runs", json={"run_id": "cut", "pipeline": "p", "steps": [{"name": "rank", "cutoff": 4, "events": scored}]}
    )
    answer = ask(api, "cut", "rank", sort="rank")
    assert [item["rank"] for item in answer["items"]] == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert [item["outcome"] for item in answer["items"]] == ["accepted"] * 4 + ["outranked"] * 6


def test_there_are_no_ranks_where_the_selected_has_no_score(api: TestClient) -> None:
    events = [
        {"item_id": "a", "outcome": "accepted", "score": 1.0},
        {"item_id": "b", "outcome": "selected"},
    ]
    api.post("/runs", json={"run_id": "unranked", "pipeline": "p", "steps": [{"name": "pick", "events": events}]})
    assert [item["rank"] for item in ask(api, "unranked", "pick")["items"]] == [None, None]


def test_an_item_is_one_row_however_many_events_it_has(api: TestClient) -> None:
    events: list[dict[str, Any]] = [
        {"item_id": "a", "outcome": "produced", "name": "A", "evidence": {"price": 1, "old": "x"}, "score": 1.0},
        {"item_id": "b", "outcome": "accepted", "evidence": {"price": 5}},
        {"item_id": "a", "outcome": "rejected", "reason": "late", "evidence": {"price": 9}, "score": 2.0},
    ]
    events += [{"item_id": "c", "outcome": "accepted", "score": n} for n in range(120)]
    api.post("/runs", json={"run_id": "again", "pipeline": "p", "steps": [{"name": "f", "events": events}]})
    answer = ask(api, "again", "f", sort="-evidence.price")
    assert ids(answer) == ["a", "b", "c"]
    first, last = answer["items"][0], answer["items"][-1]
    assert (first["outcome"], first["reason"], first["score"]) == ("rejected", "late", 2.0)
    assert (first["name"], first["evidence"]) == ("A", {"price": 9, "old": "x"})
    assert (last["score"], last["rank"]) == (119.0, 1)
    assert first["events"] > 1
    assert last["events"] >= 120


def said_again(api: TestClient) -> None:
    """Values of `x` that were said twice, and one that was not."""
    said: dict[str, list[Any]] = {"a": [5, 50], "b": ["hi", 3], "c": [3, "hi"], "d": [7, None], "e": [4]}
    events = [
        {"item_id": item_id, "outcome": "accepted", "evidence": {"x": value}}
        for item_id, values in said.items()
        for value in values
    ]
    events.append({"item_id": "f", "outcome": "accepted", "evidence": {"y": 1}})
    api.post("/runs", json={"run_id": "twice", "pipeline": "p", "steps": [{"name": "f", "events": events}]})


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("evidence.x:5", ""),
        ("evidence.x:<10", "b d e"),
        ("-evidence.x:>10", "b d e"),
        ("-evidence.x:5", "a b c d e f"),
        ("evidence.x:hi", "c"),
        ("evidence.x:50", "a"),
        ("evidence.x:>=4 evidence.x:<=7", "d e"),
    ],
)
def test_a_filter_looks_at_the_value_that_is_shown(api: TestClient, q: str, expected: str) -> None:
    said_again(api)
    assert ids(ask(api, "twice", "f", q=q, sort="item_id")) == expected.split()


def test_rows_orders_and_bins_have_the_same_last_value(api: TestClient) -> None:
    said_again(api)
    answer = ask(api, "twice", "f", sort="evidence.x", bins_of="x")
    shown = {item["item_id"]: item["evidence"].get("x") for item in answer["items"]}
    assert shown == {"b": 3, "e": 4, "d": 7, "a": 50, "c": "hi", "f": None}
    assert ids(answer) == list("bedacf")
    found = answer["distribution"]
    assert (found["n"], found["least"], found["greatest"]) == (4, 3, 50)
    assert [(one["value"], one["n"]) for one in found["values"]] == [("hi", 1)]


@pytest.mark.parametrize("large", [1e17, 1e308])
def test_texts_come_after_numbers_however_large(api: TestClient, large: float) -> None:
    events = [
        {"item_id": str(at), "outcome": "accepted", "evidence": {"x": value}}
        for at, value in enumerate(["c", large, "b", 1, "a", -large])
    ]
    api.post("/runs", json={"run_id": "large", "pipeline": "p", "steps": [{"name": "f", "events": events}]})
    assert ids(ask(api, "large", "f", sort="evidence.x")) == ["5", "3", "1", "4", "2", "0"]
    assert ids(ask(api, "large", "f", sort="-evidence.x")) == ["0", "2", "4", "1", "3", "5"]


def test_texts_are_ordered_as_people_count_and_after_numbers(api: TestClient) -> None:
    events = [
        {"item_id": item_id, "outcome": "accepted", "evidence": {"size": size}}
        for item_id, size in (("sku-10", "XL"), ("SKU-9", 40), ("sku-2b", None), ("sku-2", "M"), ("x", 9))
    ]
    api.post("/runs", json={"run_id": "texts", "pipeline": "p", "steps": [{"name": "f", "events": events}]})
    assert ids(ask(api, "texts", "f", sort="item_id")) == ["sku-2", "sku-2b", "SKU-9", "sku-10", "x"]
    assert ids(ask(api, "texts", "f", sort="evidence.size")) == ["x", "SKU-9", "sku-2", "sku-10", "sku-2b"]
    assert ids(ask(api, "texts", "f", sort="-evidence.size")) == ["sku-10", "sku-2", "SKU-9", "x", "sku-2b"]
    assert ask(api, "texts", "f")["evidence_keys"][0]["kind"] == "mixed"


def test_pages_together_are_the_whole(api: TestClient) -> None:
    events = [{"item_id": f"i{n}", "outcome": "accepted", "evidence": {"x": n % 7}} for n in range(95)]
    api.post("/runs", json={"run_id": "many", "pipeline": "p", "steps": [{"name": "f", "events": events}]})
    pages = [ask(api, "many", "f", sort="-evidence.x", limit=10, offset=offset) for offset in range(0, 100, 10)]
    found = [one for page in pages for one in ids(page)]
    assert sorted(found) == sorted(f"i{n}" for n in range(95))
    assert [item["evidence"]["x"] for page in pages for item in page["items"]] == sorted(
        (n % 7 for n in range(95)), reverse=True
    )
    assert {page["total"] for page in pages} == {95}
    assert ask(api, "many", "f", offset=1_000)["items"] == []


def test_a_page_that_was_kept_does_not_outlive_what_it_said(api: TestClient) -> None:
    run = {
        "run_id": "kept",
        "pipeline": "p",
        "steps": [{"name": "f", "events": [{"item_id": "a", "outcome": "accepted"}]}],
    }
    api.post("/runs", json=run)
    step_id = step_of(api, "kept", "f")["step_id"]
    url = f"/runs/kept/items?step_id={step_id}"
    assert api.get(url).json() == api.get(url).json()
    assert api.app.state.parts.store.delete("default", ["kept"]) == 1  # type: ignore[attr-defined]
    assert api.get(url).status_code == 404


@pytest.mark.parametrize("again", [(), ("a",)])
def test_a_run_that_is_deleted_while_a_page_is_made(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, again: tuple[str, ...]
) -> None:
    def run(*items: str) -> dict[str, Any]:
        events = [{"item_id": item_id, "outcome": "accepted"} for item_id in items]
        return {"run_id": "gone", "pipeline": "p", "steps": [{"name": "f", "events": events}]}

    api.post("/runs", json=run("a", "b"))
    step_id, page = step_of(api, "gone", "f")["step_id"], questions.page

    def deleted_before(*given: Any) -> dict[str, Any]:
        api.app.state.parts.store.delete("default", ["gone"])  # type: ignore[attr-defined]
        if again:
            api.post("/runs", json=run(*again))
        return page(*given)

    monkeypatch.setattr(questions, "page", deleted_before)
    answer = api.get(f"/runs/gone/items?step_id={step_id}")
    assert answer.status_code == (200 if again else 404), answer.text
    if again:
        assert ids(answer.json()) == ["a"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_texts_are_texts(api: TestClient, hostile: str) -> None:
    events = [
        {"item_id": hostile, "outcome": "produced", "name": hostile},
        {"item_id": hostile, "outcome": "rejected", "reason": hostile, "evidence": {hostile: hostile}},
        {"item_id": "other", "outcome": "accepted"},
    ]
    api.post("/runs", json={"run_id": "h", "pipeline": "p", "steps": [{"name": hostile, "events": events}]})
    quoted = '"' + hostile.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for asked in ({"q": quoted}, {"reason": hostile}, {"q": f"item_id:{quoted}"}, {"q": f"name:{quoted}"}):
        answer = ask(api, "h", hostile, sort=f"evidence.{hostile}", **asked)
        assert ids(answer) == [hostile]
        item = answer["items"][0]
        assert (item["name"], item["reason"], item["evidence"]) == (hostile, hostile, {hostile: hostile})


def test_what_no_event_names_is_said(api: TestClient) -> None:
    events = [{"item_id": "a", "outcome": "accepted"}]
    steps = [{"name": "f", "input_count": 5, "output_count": 1, "events": events}, {"name": "empty"}]
    api.post("/runs", json={"run_id": "few", "pipeline": "p", "steps": steps})
    answer = ask(api, "few", "f")
    assert answer["unknown"] == {"cause": "not_recorded", "detail": "4 more came to f, and no event names them"}
    assert answer["sentence"] == "f names 1 item: 1 accepted; 4 more came to f, and no event names them."
    assert "step.accept(item_id)" in answer["hint"]
    empty = ask(api, "few", "empty", q="x", sort="-score")
    assert (empty["items"], empty["total"], empty["sentence"]) == ([], 0, "No event of empty names an item.")


@pytest.mark.parametrize(
    ("params", "field", "fix"),
    [
        ({"sort": "scor"}, "sort", "did you mean 'score'?"),
        ({"sort": "price"}, "sort", "did you mean 'evidence.price'?"),
        ({"sort": "-evidence.prize"}, "sort", "did you mean 'evidence.price'?"),
        ({"sort": "evidence."}, "sort", ""),
        ({"outcome": "reject"}, "outcome", "did you mean 'rejected'?"),
        ({"bins_of": "prise"}, "bins_of", "did you mean 'price'?"),
        ({"bins_of": "price", "edge": "inf"}, "edge", None),
        ({"q": "evidence.prize:>1"}, "evidence.prize", "did you mean 'evidence.price'?"),
        ({"q": "reson:x"}, "reson", "did you mean 'reason'?"),
        ({"q": "outcome:gone"}, "outcome", None),
        ({"limit": 1001}, "limit", None),
        ({"offset": -1}, "offset", None),
        ({"srt": "score"}, "srt", "did you mean 'sort'?"),
        ({"step_id": "filter_candidates"}, "step_id", "the step of that name is"),
        ({"step_id": "nope"}, "step_id", None),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix(
    filled: TestClient, params: dict[str, Any], field: str, fix: str | None
) -> None:
    step_id = step_of(filled, "stands", "filter_candidates")["step_id"]
    answer = filled.get("/runs/stands/items", params={"step_id": step_id, **params})
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    if fix is not None:
        assert fix in answer.json()["fix"]


def test_a_run_that_is_not_there(filled: TestClient) -> None:
    answer = filled.get("/runs/stand/items?step_id=s1")
    assert answer.status_code == 404
    assert answer.json()["fix"] == "did you mean stands?"
    assert filled.get("/runs/stands/items").status_code == 422


def spread(api: TestClient) -> list[dict[str, Any]]:
    """A step of 12,000 items: prices of most, a brand of some, every third dropped."""
    events: list[dict[str, Any]] = []
    for n in range(12_000):
        evidence = {"price": (n * 37 % 5_000) / 10} if n % 5 else {"brand": f"b{n % 3}"} if n % 2 else None
        said = {"outcome": "accepted"} if n % 3 else {"outcome": "rejected", "reason": "late"}
        events.append({"item_id": f"i{n}", **said, **({"evidence": evidence} if evidence else {})})
    api.post("/runs", json={"run_id": "spread", "pipeline": "p", "steps": [{"name": "f", "events": events}]})
    return events


def test_the_values_of_a_key_are_counted_of_all_items(api: TestClient) -> None:
    events = spread(api)
    found = ask(api, "spread", "f", bins_of="price", edge=123.4, limit=1)["distribution"]
    priced = [(one["evidence"]["price"], one["outcome"]) for one in events if "price" in (one.get("evidence") or {})]
    values = [price for price, _ in priced]
    assert (found["n"], found["without"]) == (len(values), len(events) - len(values))
    assert (found["least"], found["greatest"]) == (min(values), max(values))
    bins = found["bins"]
    assert 20 <= len(bins) <= 30
    assert [one["to"] for one in bins[:-1]] == [one["from"] for one in bins[1:]]
    assert any(abs(one["from"] - 123.4) < 1e-9 for one in bins)
    for at, one in enumerate(bins):
        last = at == len(bins) - 1
        inside = [outcome for price, outcome in priced if one["from"] <= price and (price < one["to"] or last)]
        assert (one["n"], one["kept"], one["dropped"]) == (
            len(inside), inside.count("accepted"), inside.count("rejected"),
        )  # fmt: skip
    below = ask(api, "spread", "f", bins_of="price", edge=123.4, outcome="rejected", limit=1)["distribution"]
    assert sum(one["kept"] for one in below["bins"]) == 0
    assert below["n"] == sum(one["dropped"] for one in bins)


def test_texts_of_a_key_are_counted_the_most_frequent_first(api: TestClient) -> None:
    events = spread(api)
    found = ask(api, "spread", "f", bins_of="brand", limit=1)["distribution"]
    brands = Counter(one["evidence"]["brand"] for one in events if "brand" in (one.get("evidence") or {}))
    assert (found["n"], found["bins"], found["least"]) == (0, [], None)
    assert {one["value"]: one["n"] for one in found["values"]} == brands
    assert [one["n"] for one in found["values"]] == sorted(brands.values(), reverse=True)
    assert all(one["n"] == one["kept"] + one["dropped"] for one in found["values"])
    assert ask(api, "spread", "f", limit=1)["distribution"] is None


def test_what_is_kept_of_steps_does_not_push_out_other_answers(api: TestClient) -> None:
    spread(api)
    long = api.app.state.parts.long  # type: ignore[attr-defined]
    other, table = long.cache.bytes, long.steps.bytes
    answer = ask(api, "spread", "f", sort="-evidence.price", limit=3, offset=5)
    assert long.cache.bytes == other
    first = long.steps.bytes - table
    again = ask(api, "spread", "f", sort="-evidence.price", q="i", limit=3, offset=5)
    assert again["items"] == answer["items"]
    assert 0 < long.steps.bytes - table - first < 12_000 * 4 + 5_000 < first, "an order is the numbers of its items"
    long.steps._drop(next(iter(long.steps._kept)))
    assert ask(api, "spread", "f", sort="-evidence.price", limit=3, offset=5) == answer


def test_what_came_since_is_in_the_next_answer_of_the_same_step(api: TestClient) -> None:
    run = {"run_id": "grows", "pipeline": "p"}
    steps = [{"name": "f", "events": [{"item_id": "a", "outcome": "accepted", "evidence": {"x": 1}}]}]
    api.post("/runs", json={**run, "steps": steps})
    assert ids(ask(api, "grows", "f", q="a", sort="item_id")) == ["a"]
    api.post("/runs", json={**run, "run_id": "other", "steps": steps})
    assert api.app.state.parts.store.delete("default", ["grows"]) == 1  # type: ignore[attr-defined]
    steps[0]["events"] = [{"item_id": one, "outcome": "accepted", "evidence": {"y": 1}} for one in ("ab", "b", "aa")]
    api.post("/runs", json={**run, "steps": steps})
    answer = ask(api, "grows", "f", q="a", sort="item_id")
    assert (ids(answer), [one["key"] for one in answer["evidence_keys"]]) == (["aa", "ab"], ["y"])
