"""The commands, and what becomes of their errors: one line each."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

import dxray
from dxray.cli import (
    blame,
    demo,
    diff,
    explain,
    flip,
    funnel,
    item,
    label,
    lineage,
    mcp,
    rules,
    runs,
    serve,
    stability,
    steps,
    sync,
    view,
    whatif,
    why,
    why_rank,
)
from dxray.cli.options import AsJson, Refusal
from dxray.cli.render import print_json, print_line
from dxray.client import ClientError
from dxray.wire.text import clean

app = typer.Typer(
    name="dxray",
    help="X-Ray: why did the pipeline make this decision?",
    epilog="Start with: dxray demo. Exit codes: 0 answered; 1 no server, no such run, item or pipeline, or nothing "
    "can be said; 2 typed wrongly, also a filter, a limit or a name that the server refuses.",
    rich_markup_mode=None,  # plain help is half as long, and can be searched
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": dxray.__version__, "python": ".".join(map(str, sys.version_info[:3]))})
    else:
        print_line(f"dxray {dxray.__version__}")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    if show_version:
        version()
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_line(context.get_help())


@app.command("help", hidden=True)
def show_help(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="COMMAND", show_default=False)] = None,
) -> None:
    """Print the help, of one command or of all."""
    code = run([name, "--help"] if name else ["--help"])
    if code:
        raise typer.Exit(code)


for name, command, panel in (
    ("demo", demo.demo, "Begin"),
    ("serve", serve.serve, "Begin"),
    ("runs", runs.runs, "Ask"),
    ("show", runs.show, "Ask"),
    ("why", why.why, "Ask"),
    ("steps", steps.steps, "Ask"),
    ("why-rank", why_rank.why_rank, "Ask"),
    ("funnel", funnel.funnel, "Ask"),
    ("lineage", lineage.lineage, "Ask"),
    ("item", item.item, "Ask"),
    ("diff", diff.diff, "Ask"),
    ("label", label.label, "Ask"),
    ("blame", blame.blame, "Ask"),
    ("explain", explain.explain, "Ask"),
    ("whatif", whatif.whatif, "Ask"),
    ("flip", flip.flip, "Ask"),
    ("stability", stability.stability, "Ask"),
    ("rules", rules.rules, "Ask"),
    ("mcp", mcp.mcp, "Ask"),
    ("sync", sync.sync, "Care"),
    ("version", version, "Care"),
):
    app.command(name, rich_help_panel=panel)(command)
app.add_typer(view.view, name="view", rich_help_panel="Ask")
_NAMING = ("show", "why", "why-rank", "lineage", "item", "label", "flip")  # what may begin with a dash
_NAMES = frozenset(str(one.name) for one in app.registered_commands) | {"view"}


def run(argv: Sequence[str] | None) -> int:
    """Run one command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="dxray.nearest")  # a terminal that lacks a letter is no reason to fail
    try:
        code = typer.main.get_command(app).main(args=argv, prog_name="dxray", standalone_mode=False)
    except TyperException as error:
        return _fail(_usage(error, sys.argv[1:] if argv is None else argv), error.exit_code)
    except ClientError as error:
        return _fail(_typed_here(str(error)), 2 if error.status in (400, 422) else 1)
    except Refusal as error:
        return _fail(str(error), error.code)
    except typer.Abort:
        return 130
    except BrokenPipeError:
        # Whoever read has read enough; keep Python from writing the rest at exit.
        sys.stdout = io.StringIO()
        return 1
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"dxray: {clean(message)}\n")
    return code


# What the server says to do, as it is done here.
_TYPED_HERE = {
    r"GET /runs lists": "dxray runs lists",
    r"GET /views lists": "dxray view list shows",
    r"GET /openapi\.json says what \S+ may be": "--help says what it may be",
    r"swap them: since=(.+)&until=(.+)\)": r"swap them: --since \1 --until \2)",
    r"give \[lowest, highest\]": "separate both by a comma, as in 1,20",
}
_LIST = re.compile(r"give (a list[^,]*), such as (\[.*\])")


def _typed_here(message: str) -> str:
    for said, instead in _TYPED_HERE.items():
        message = re.sub(said, instead, message)
    return _LIST.sub(_as_list, message)


def _as_list(found: re.Match[str]) -> str:
    """How a list is typed, on the server's example in JSON."""
    try:
        values = [str(one) for one in json.loads(found[2])]
    except ValueError:
        values = []
    end = "," if len(values) == 1 else ""
    return f"give {found[1]}, its values with commas between: {','.join(values)}{end}"


def _usage(error: TyperException, argv: Sequence[str]) -> str:
    """What was typed wrongly, the nearest right thing, and where to read on."""
    message = error.format_message().rstrip(".").replace("Value error, ", "").replace("Input should", "it should")
    near: Any = getattr(error, "possibilities", None)
    context = getattr(error, "ctx", None)
    if near:
        nearest = max(near, key=lambda one: SequenceMatcher(None, one, getattr(error, "option_name", "")).ratio())
        message = f"{error.message.rstrip('.')}. Did you mean {nearest!r}?"
    elif hasattr(error, "option_name") and context is not None and context.info_name in _NAMING:
        message += "; an id that begins with a dash goes after --"
    if not message.endswith("?"):
        # An option without its value comes without a context.
        typed = " ".join(["dxray", *(word for word in argv[:1] if word in _NAMES)])
        message += f"; see {context.command_path if context is not None else typed} --help"
    return f"{message[:1].lower()}{message[1:]}"
