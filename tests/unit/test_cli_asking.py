"""What commands return, what they make of a word that is an id or a name, and which mistakes in a label they know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from dxray.cli import main
from dxray.wire.answers import Diff, Funnel, Items, Labels

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DXRAY_API_URL", httpserver.url_for(""))
    monkeypatch.setenv("COLUMNS", "100")

    def call(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def serve(httpserver: HTTPServer, path: str, answer: Mapping[str, Any], query: Mapping[str, str]) -> None:
    httpserver.expect_request(path, query_string=dict(query)).respond_with_json(dict(answer))


NOBODY: dict[str, dict[str, Any]] = {
    "lineage": {"run_id": "r", "item_id": "ghost", "nodes": [], "sentence": "What ghost came from is not known."},
    "why-rank": {
        "run_id": "r",
        "verdict": "not_ranked",
        "item": {"item_id": "ghost", "verdict": "never_retrieved"},
        "over": {"item_id": "a", "verdict": "selected"},
        "sentence": "ghost was never in this run.",
    },
    "why": {
        "run_id": "r",
        "item_id": "ghost",
        "verdict": "never_retrieved",
        "sentence": "ghost was never in this run.",
    },
}
SOMEBODY: dict[str, dict[str, Any]] = {
    "lineage": {**NOBODY["lineage"], "nodes": [{"item_id": "ghost", "depth": 0}]},
    "why-rank": {**NOBODY["why-rank"], "verdict": "behind", "item": {"item_id": "ghost", "verdict": "outranked"}},
    "why": {**NOBODY["why"], "verdict": "rejected", "step_name": "keep"},
}


@pytest.mark.parametrize(("name", "code"), [("lineage", 1), ("why-rank", 1), ("why", 0)])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_1_says_that_there_was_nothing_to_answer_about(
    run: Run, httpserver: HTTPServer, name: str, code: int, as_json: list[str]
) -> None:
    """That an item was never in a run answers why; where it came from, or how it was ranked, nothing does."""
    words, query = ["ghost"], {"item": "ghost"}
    if name == "why-rank":
        words, query = ["ghost", "a"], {"item": "ghost", "over": "a"}
    serve(httpserver, f"/runs/r/{name}", NOBODY[name], query)
    found = run(name, "r", *words, *as_json)
    assert (found[0], found[2]) == (code, "")
    assert NOBODY[name]["sentence"].split()[0] in found[1]
    httpserver.clear()
    serve(httpserver, f"/runs/r/{name}", SOMEBODY[name], query)
    assert run(name, "r", *words, *as_json)[0] == 0


def items(total: int, **more: Any) -> dict[str, Any]:
    rows = [{"run_id": f"r{n}", "item_id": "p3"} for n in range(total)]
    return {"runs": rows, "items": [], "total": total, "limit": 20, "offset": 0, "sentence": "Found.", **more}


def test_an_item_is_looked_for_by_its_id_and_then_by_its_name(run: Run, httpserver: HTTPServer) -> None:
    serve(httpserver, "/items", items(1, sentence="By its id."), {"id": "p3", "limit": "20"})
    assert run("item", "p3")[:2][0] == 0
    assert len(httpserver.log) == 1
    serve(httpserver, "/items", items(0, sentence="No run has it."), {"id": "Stand", "limit": "20"})
    serve(httpserver, "/items", items(2, sentence="By its name."), {"name": "Stand", "limit": "20"})
    code, out, _ = run("item", "Stand")
    assert (code, out.splitlines()[0]) == (0, "By its name.")
    assert run("item", "--name", "Stand")[1] == out


def test_an_item_that_no_run_has_is_1(run: Run, httpserver: HTTPServer) -> None:
    serve(httpserver, "/items", items(0, id="x", sentence="No run has it."), {"id": "x", "limit": "20"})
    serve(httpserver, "/items", items(0, name="x"), {"name": "x", "limit": "20"})
    code, out, err = run("item", "x")
    assert (code, out.splitlines()[0], err) == (1, "No run has it.", "")
    code, out, _ = run("item", "x", "--json")
    assert (code, json.loads(out)["id"]) == (1, "x")


def test_a_pipeline_that_is_not_there_is_1(run: Run, httpserver: HTTPServer) -> None:
    absent = {"labelled": 0, "did_you_mean": ["shop"], "sentence": "No run of a pipeline shp; did you mean shop?"}
    serve(httpserver, "/blame", absent, {"pipeline": "shp"})
    code, out, err = run("blame", "--pipeline", "shp")
    assert (code, err) == (1, "")
    assert "did you mean shop?" in out
    assert "dxray blame --pipeline shop" in out
    serve(httpserver, "/blame", {"labelled": 2, "sentence": "No label says that it was wrong."}, {"pipeline": "shop"})
    assert run("blame", "--pipeline", "shop")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["r1", "wrong"], "wrong needs an item: dxray label r1 wrong ITEM"),
        (["r1", "expected", ""], "expected needs an item: dxray label r1 expected ITEM"),
        (["r1", "p3", "wrong"], "the run comes first, and then the label: dxray label r1 wrong p3"),
        (["bad", "r1"], "the run comes first, and then the label: dxray label r1 bad"),
        (["wrong", "r1", "p 3"], "the run comes first, and then the label: dxray label r1 wrong 'p 3'"),
        (["r1", "bda"], "there is no label 'bda'; did you mean bad?"),
        (["r1", "nonsense", "p3"], "there is no label 'nonsense'; there are good, bad, expected, wrong, keep"),
    ],
)
def test_a_label_in_other_words_is_told_without_asking(
    run: Run, httpserver: HTTPServer, words: list[str], said: str
) -> None:
    assert run("label", *words) == (2, "", f"dxray: {said}\n")
    assert httpserver.log == []


def test_a_run_may_be_called_as_a_label_is(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/runs/bad/labels", method="POST").respond_with_json(
        {"run_id": "bad", "number": 1, "labels": [{"number": 1, "label": "good"}]}, status=201
    )
    assert run("label", "bad", "good")[0] == 0


def label(number: int, said: str, item: str | None = None, by: int | None = None) -> dict[str, Any]:
    return {"number": number, "label": said, "item_id": item, "replaced_by": by}


def test_after_a_label_the_item_that_was_just_named_is_asked_for(run: Run, httpserver: HTTPServer) -> None:
    said = {"run_id": "r1", "labels": [label(1, "wrong", "first"), label(2, "expected", "then")]}
    httpserver.expect_request("/runs/r1/labels", method="POST").respond_with_json({**said, "number": 2}, status=201)
    out = run("label", "r1", "expected", "then")[1]
    assert "dxray why r1 then" in out
    assert "dxray why r1 first" not in out
    httpserver.clear()
    httpserver.expect_request("/runs/r1/labels", method="POST").respond_with_json({**said, "number": 1})
    assert "dxray why r1 first" in run("label", "r1", "wrong", "first", "--note", "again")[1]


def test_what_a_label_replaced_and_what_is_odd_about_it_is_shown() -> None:
    said = {"run_id": "r1", "number": 2, "labels": [label(2, "good")], "replaced": [label(1, "bad", by=2)]}
    text = str(Labels.read({**said, "warnings": ["No run of p ever had x; did you mean y?"]}))
    assert [line.split()[:2] for line in text.splitlines()[1:3]] == [["1", "bad"], ["2", "good"]]
    assert text.splitlines()[1].endswith("replaced by label 2")
    assert "! No run of p ever had x; did you mean y?" in text


@pytest.mark.parametrize("answer", [Diff(a="a", b="b"), Items(), Funnel()])
def test_one_wording_says_that_pandas_is_missing(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError) as raised:
        answer.to_frame()
    assert str(raised.value) == "to_frame() needs pandas: pip install pandas"
