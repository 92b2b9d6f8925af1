"""`dxray serve`: the one command, beside the demo, that imports the server."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dxray.cli.options import Refusal
from dxray.cli.render import console, print_lines
from dxray.wire.text import Line, dump_json

if TYPE_CHECKING:
    import uvicorn

DRAIN = 10  # seconds that requests under way have at the end


def serve(
    host: Annotated[str, typer.Option("--host", help="The address to listen on; of this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 for a free one.")] = 8000,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Where the data lies; ~/.dxray/data if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it listens as JSON.")] = False,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True)] = False,
    forget: Annotated[bool, typer.Option("--forget", hidden=True)] = False,
) -> None:
    """Serve the API: one process, data in one folder."""
    _refuse_strangers(host)
    listener = _listen(host, port)
    with contextlib.closing(listener):
        url = _url(host, listener.getsockname()[1])
        app, folder = _application(data)
        server, said = _server(app, lambda: _announce(url, folder, as_json))
        if until_eof:
            threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
        # What uvicorn does with a signal once it has ended: nothing, for ending was what it asked.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        try:
            server.run(sockets=[listener])
        except SystemExit:
            error = getattr(app.state, "start_error", None)
            if error is None:
                sys.stderr.writelines(f"{line}\n" for line in said)
            raise Refusal(error.line() if error is not None else "the server failed while starting") from None
        finally:
            if forget:
                shutil.rmtree(folder, ignore_errors=True)


def _refuse_strangers(host: str) -> None:
    """Without keys, whoever can reach the server can read all that was recorded."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except (socket.gaierror, UnicodeError):
        raise Refusal(f"--host {host!r} is no address of this machine: try --host 127.0.0.1") from None
    if not all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found):
        raise Refusal(
            f"--host {host} lets other machines in, and there are no keys yet to tell who may: "
            "serve on 127.0.0.1, and reach it from elsewhere through an SSH tunnel"
        )


def _listen(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, proto)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # Bound is not yet taken: two that are only bound can share a port, and the second would fail late.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if isinstance(error, PermissionError):
            raise Refusal(
                f"port {port} is for the administrator: try --port 8000, or --port 0 for a free one"
            ) from None
        raise Refusal(
            f"port {port} is in use: try --port {port + 1 if port < 65535 else 0}, or --port 0 for a free one"
        ) from None
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _application(data: Path | None) -> tuple[Any, Path]:
    """The app, and the folder with its data."""
    sys.meta_path.insert(0, _NoPandas())
    try:
        from dxray.server.app import create_app
        from dxray.server.errors import DxrayError
        from dxray.server.settings import load
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "dxray":
            raise
        raise Refusal(f"the server is not installed ({error.name} is missing): pip install 'dxray[server]'") from None
    try:
        settings = load(data=data)
        return create_app(settings), settings.data
    except DxrayError as error:
        raise Refusal(error.line()) from error


class _NoPandas(MetaPathFinder):
    """In this process pandas is not there: where it is installed, the first array of pyarrow imports it, for nothing
    that a server needs, and the server starts more than a second later."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the server does without pandas", name=name)


def _server(app: Any, announce: Callable[[], None]) -> tuple[uvicorn.Server, list[str]]:
    """The server, and a list that will hold what it says before it has started."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce()

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        loop="asyncio",  # the same on every machine, also where uvloop happens to be installed
        timeout_graceful_shutdown=DRAIN,
    )
    server = Server(config)
    said: list[str] = []

    def hold(record: logging.LogRecord) -> bool:
        # A failed start is told in one line by `serve`; uvicorn tells it in a traceback.
        if not server.started:
            said.append(record.getMessage())
        return server.started

    logging.getLogger("uvicorn.error").addFilter(hold)
    return server, said


def _announce(url: str, folder: Path, as_json: bool) -> None:
    if as_json:
        line = {
            "api_url": url,
            "data": str(folder),
            "ui": f"{url}/ui/",
            "docs": f"{url}/openapi.json",
            "pid": os.getpid(),
        }
        sys.stdout.write(dump_json(line, indent=None) + "\n")
    else:
        lines = [Line().add("Listening on ").add(url, "name")]
        for label, value in (("page", f"{url}/ui/"), ("API", f"{url}/openapi.json"), ("data", str(folder))):
            lines.append(Line().add(f"  {label:<6}", "dim").add(value))
        if sys.stdin is not None and sys.stdin.isatty():
            lines.append(Line().add("  Ctrl-C ends it", "dim"))
        print_lines(console(), lines)
    sys.stdout.flush()


def _end_with_stdin(server: uvicorn.Server) -> None:
    """End the server when whoever started it has ended, however that came about."""
    # os.read: a thread that sits in sys.stdin holds its lock, and Python cannot end.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    server.should_exit = True
