"""Whatever a user can set, type or ask stands in README or docs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import dxray
from dxray.cli.app import app as cli
from dxray.sdk.run import Run
from dxray.sdk.settings import Settings as SdkSettings
from dxray.sdk.step import Step
from dxray.server import posted_shape
from dxray.server.app import create_app
from dxray.server.reasoning import selection
from dxray.server.settings import Settings as ServerSettings
from dxray.server.settings import load
from dxray.wire.predicates import OPERATORS
from dxray.wire.records import OUTCOMES

from .markdown import CHECKOUT, DOCUMENTS, README, code_words, reference

WORDS = code_words()


def missing(names: Iterator[str] | list[str]) -> list[str]:
    return sorted(set(names) - WORDS)


@pytest.mark.parametrize("fields", [SdkSettings.__dataclass_fields__, ServerSettings.model_fields])
def test_every_setting_is_in_the_readme_with_its_variable_and_its_default(fields: dict[str, Any]) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", README.read_text(), re.MULTILINE))
    assert sorted(set(fields) - set(rows)) == []
    for name, field in fields.items():
        assert f"`DXRAY_{name.upper()}`" in rows[name]
        default = field.default
        if default not in (None, ()) and name != "store":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"`{shown.lower()}`" in rows[name].lower(), f"{name} is {shown} by default"


def test_no_variable_in_the_docs_is_made_up() -> None:
    known = {f"DXRAY_{name.upper()}" for name in (*SdkSettings.__dataclass_fields__, *ServerSettings.model_fields)}
    assert set(re.findall(r"DXRAY_[A-Z_]*[A-Z]", reference())) - known == set()


def commands() -> dict[str, Any]:
    root: Any = typer.main.get_command(cli)
    return {"": root, **root.commands}


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_is_documented(name: str) -> None:
    command = commands()[name]
    if getattr(command, "hidden", False):
        return
    options = [
        option
        for parameter in command.params
        if not getattr(parameter, "hidden", False) and "--help" not in parameter.opts
        for option in parameter.opts
        if option.startswith("-")
    ]
    assert f"`dxray {name}".rstrip() in README.read_text()
    assert missing(options) == []


def test_no_command_in_the_docs_is_made_up() -> None:
    typed = set(re.findall(r"(?:^|`|\s)dxray ([a-z]+)(?=[\s`])", "\n".join(_code_lines())))
    assert typed - set(commands()) == set()


def _code_lines() -> list[str]:
    text = reference()
    return [line for line in text.splitlines() if line.startswith("dxray ")] + re.findall(r"`dxray [^`]*`", text)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("never-opened")
    paths: dict[str, dict[str, Any]] = create_app(load(data=folder)).openapi()["paths"]
    return paths


def test_every_endpoint_and_parameter_is_in_the_readme(served: dict[str, dict[str, Any]]) -> None:
    rows = re.findall(r"^\| (GET|POST|DELETE|PUT|PATCH) \| (.*?) \| (.*) \|$", README.read_text(), re.MULTILINE)
    documented = {
        (method, path): set(re.findall(r"`(\w+)`", text))
        for method, paths, text in rows
        for path in re.findall(r"`([^`]+)`", paths)
    }
    for path, methods in served.items():
        for method, operation in methods.items():
            key = (method.upper(), path)
            assert key in documented, f"{key} is not in the table of endpoints"
            parameters = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            assert parameters - documented[key] == set(), f"parameters of {key}"
    assert set(documented) - {(m.upper(), p) for p, ms in served.items() for m in ms} == {("GET", "/openapi.json")}


def test_every_field_of_the_filter_is_documented() -> None:
    grammars = (selection.RUNS, selection.STEPS)
    assert missing([name for grammar in grammars for name in (*grammar.fields, "label")]) == []
    assert missing([f"{root}.KEY" for grammar in grammars for root in grammar.roots]) == []


def test_every_field_of_a_posted_run_is_documented() -> None:
    shapes = [one for one in vars(posted_shape).values() if hasattr(one, "__struct_fields__")]
    assert len(shapes) >= 5
    assert missing([name for shape in shapes for name in shape.__struct_fields__]) == []
    assert missing(list(OUTCOMES)) == []


def test_every_operator_is_documented() -> None:
    shown = reference()
    assert [op for op in OPERATORS if f"`{op}`" not in shown] == []


@pytest.mark.parametrize("kind", [dxray.XRay, Run, Step])
def test_every_call_and_argument_of_the_sdk_is_documented(kind: type) -> None:
    calls = {name: call for name, call in inspect.getmembers(kind) if not name.startswith("_")}
    assert missing(list(calls)) == []
    shown = (CHECKOUT / "docs" / "recording.md").read_text()
    for name, call in calls.items():
        if not callable(call) or name.endswith("_many"):
            continue
        arguments = [one for one in inspect.signature(call).parameters.values() if one.kind is one.KEYWORD_ONLY]
        assert [one.name for one in arguments if not re.search(rf"\b{one.name}=", shown)] == [], name


def test_every_public_name_is_documented() -> None:
    shown = reference()
    assert [name for name in dxray.__all__ if not re.search(rf"\b{name}\b", shown)] == []


def test_every_link_leads_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name} leads to {target}"


def test_no_document_knows_the_machine_it_was_written_on() -> None:
    for path in DOCUMENTS:
        assert re.findall(r"/(?:home|root|work|Users)/\S*", path.read_text()) == [], path.name
