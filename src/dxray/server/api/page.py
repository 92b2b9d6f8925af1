"""`/` and `/ui/`: the web page. Where it is not built, the door says the command that builds it, and how to read on."""

from __future__ import annotations

import html
import secrets
import shlex
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse

from dxray.server.api.parts import base_url
from dxray.server.errors import NotFound
from dxray.server.settings import VERSION
from dxray.wire.ids import is_run_id

router = APIRouter(include_in_schema=False)

BUILT = Path(__file__).resolve().parent.parent / "page"  # `make ui` writes it; a release carries it

# Styles carry a nonce of their own: Mantine writes its variables into a <style>. React sets style attributes
# through the DOM, which no policy forbids.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PLAIN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NONCE = "{{nonce}}"  # in the built page, where vite.config.ts put it
_FOREVER = "public, max-age=31536000, immutable"  # names of assets hold a hash of their content

_PLAIN = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>X-Ray</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }}
pre {{ padding: .75rem 1rem; border: 1px solid; border-radius: .4rem; overflow-x: auto; }}
</style>
<main>
<h1>X-Ray</h1>
<p>The server is running (version {version}). The web page is not built here: make ui builds it, with Node 20 or newer.
{instead}</p>
{parts}
</main>
</html>
"""


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/ui/", 307)


@router.get("/ui")
async def without_slash() -> Response:
    return RedirectResponse("/ui/", 307)


@router.get("/ui/{path:path}")
def page(request: Request, path: str) -> Response:
    """A file of the built page; for any other address the page itself, which knows what to show there."""
    index = BUILT / "index.html"
    if not index.is_file():
        return _plain(request, path)
    file = _file(path)
    if file is not None:
        return FileResponse(file, headers={"Cache-Control": _FOREVER if path.startswith("assets/") else "no-cache"})
    if path.startswith("assets/"):
        raise NotFound(
            f"the page has no file {path[:200]!r}", field="path", fix="load the page anew: it was built again"
        )
    nonce = secrets.token_urlsafe(16)
    return HTMLResponse(
        index.read_text("utf-8").replace(_NONCE, nonce),
        headers={"Content-Security-Policy": _POLICY.format(nonce=nonce)},
    )


def _file(path: str) -> Path | None:
    """The file of the built page that `path` names. What leads out of its folder is none."""
    if not path or "\0" in path:
        return None
    try:
        file = (BUILT / path).resolve()
        return file if file.is_relative_to(BUILT.resolve()) and file.is_file() and file.name != "index.html" else None
    except OSError:  # longer than a name may be
        return None


def _plain(request: Request, path: str) -> Response:
    """A page without scripts, and without anything from elsewhere."""
    base = base_url(request)
    first, _, rest = path.partition("/")
    run_id = rest.strip("/") if first == "runs" else ""
    parts: list[tuple[str, list[str]]] = []
    instead = "Everything it would show can be asked for:"
    if base != "http://localhost:8000":
        parts.append(("Tell the command line where this server is:", [f"export DXRAY_API_URL={shlex.quote(base)}"]))
    if is_run_id(run_id):
        instead = f"Until then type dxray show {shlex.quote(run_id)} to see this run:"
        parts.append(
            (f"Run {run_id}:", [f"dxray show {shlex.quote(run_id)}", f"curl {shlex.quote(f'{base}/runs/{run_id}')}"])
        )
        parts.append(("Why an item of it was selected, or not:", [f"dxray why {shlex.quote(run_id)} ITEM"]))
    parts.append(("All runs, newest first:", ["dxray runs", f"curl {shlex.quote(base + '/runs')}"]))
    parts.append(
        (
            "Filters that reject more than nine in ten:",
            [f"curl {shlex.quote(base + '/steps?step_type=filter&rejection_rate_gt=0.9')}"],
        )
    )
    body = "\n".join(
        f"<p>{html.escape(title)}</p>\n<pre>{html.escape(chr(10).join(lines))}</pre>" for title, lines in parts
    )
    return HTMLResponse(
        _PLAIN.format(version=html.escape(VERSION), instead=html.escape(instead), parts=body),
        headers={"Content-Security-Policy": _PLAIN_POLICY},
    )
