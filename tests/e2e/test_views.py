"""`dxray view` against a real server: what is typed is kept, found and shown as it is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator

import pytest

from dxray import Client, local
from dxray.cli import main

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with local() as client:
        client.post_run({"run_id": "one", "pipeline": "p", "status": "failed"})
        yield client


@pytest.fixture
def ask(server: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    monkeypatch.setenv("DXRAY_API_URL", server.api_url)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_view_is_saved_shown_asked_and_removed(ask: Ask) -> None:
    assert ask("view", "list")[1].splitlines() == [
        "No view is saved here yet.",
        "",
        "  ask next  dxray view save failed --q status:failed",
    ]
    code, out, err = ask("view", "save", "failed", "--q", "status:failed", "--note", "look at these first")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "failed  a filter on runs",
        '1 run now fits the view "failed", which asks for status:failed.',
        "  asks for  status:failed",
        "  note      look at these first",
        "  saved     now",
        "",
        "  ask next  dxray runs --q view:failed",
    ]
    assert ask("runs", "--q", "view:failed")[1].splitlines()[1].startswith("one  ")
    assert ask("view", "save", "strict", "--q", "rejection_rate:>0.9", "--source", "steps")[0] == 0
    lines = ask("view", "list")[1].splitlines()
    assert lines[:2] == [
        "strict  steps  rejection_rate:>0.9  now",
        "failed  runs   status:failed  now",
    ]
    assert lines[-1] == "  ask next  dxray steps --q view:strict"
    assert [view["name"] for view in json.loads(ask("view", "list", "--json")[1])["views"]] == ["strict", "failed"]
    assert json.loads(ask("view", "show", "failed", "--json")[1])["fits"] == 1
    assert ask("view", "remove", "strict")[1].splitlines()[0].startswith("failed")
    assert ask("view", "remove", "failed")[0] == 0


def test_what_cannot_be_is_one_line(ask: Ask) -> None:
    code, out, err = ask("view", "save", "x", "--q", "statsu:failed")
    assert (code, out, err) == (2, "", "dxray: there is no field 'statsu' here (did you mean 'status'?)\n")
    assert ask("view", "show", "nothing")[2].startswith("dxray: there is no view 'nothing'")
    code, _, err = ask("view", "save", "x")
    assert code == 2 and "--q" in err
    assert ask("view", "save", "x", "--q", "x", "--source", "step")[0] == 2


@pytest.mark.parametrize(
    "name", ["a/b", "/a", "a%2Fb", "a b", "日本語", "?q=#1", "-x", 'say "hi"', "back\\slash", "<5"]
)
def test_an_odd_name_can_be_asked_by_the_command_that_is_printed(ask: Ask, name: str) -> None:
    code, out, err = ask("view", "save", "--q", "status:failed", "--", name)
    assert (code, err) == (0, "")
    command = shlex.split(out.splitlines()[-1].partition("ask next")[2])
    assert command[0] == "dxray"
    assert ask(*command[1:])[1].splitlines()[1].startswith("one  ")
    assert ask("view", "remove", "--", name)[0] == 0


def test_what_others_saved_cannot_act_on_a_terminal(ask: Ask, server: Client) -> None:
    name = "x\u202egpj"  # letters that turn the direction of what follows are no control characters
    server.save_view(name, "status:failed \x1b[31mred", note="a\x1b]0;title\x07b")
    for argv in (("view", "list"), ("view", "show", name)):
        code, out, _ = ask(*argv)
        assert code == 0
        assert "\x1b" not in out and "\u202e" not in out and "\x07" not in out
        assert "ask next" not in out
    server.remove_view(name)


def test_answers_print_and_iterate(server: Client) -> None:
    view = server.save_view("failed", "status:failed")
    assert str(view).splitlines()[0] == "failed  a filter on runs"
    found = server.views()
    assert [one.name for one in found] == ["failed"] and len(found) == 1
    assert "status:failed" in str(found) and "status:failed" in found._repr_html_()
    assert server.view("failed").fits == 1
    assert len(server.remove_view("failed")) == 0
