"""`/` and `/ui/`: the door of the web page. Where no page is built, it says so, and how to read on without."""

from __future__ import annotations

import html
import shlex

from fastapi import APIRouter, Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from dxray.server.api.parts import base_url
from dxray.server.settings import VERSION
from dxray.wire.ids import is_run_id

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_PAGE = """<!doctype html>
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
<p>The server is running (version {version}). The web page is not built in this version;
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
async def page(request: Request, path: str) -> Response:
    """A page without scripts, and without anything from elsewhere."""
    base = base_url(request)
    first, _, rest = path.partition("/")
    run_id = rest.strip("/") if first == "runs" else ""
    parts: list[tuple[str, list[str]]] = []
    instead = "everything it would show can be asked for here:"
    if base != "http://localhost:8000":
        parts.append(("Tell the command line where this server is:", [f"export DXRAY_API_URL={shlex.quote(base)}"]))
    if is_run_id(run_id):
        instead = f"type dxray show {shlex.quote(run_id)} to see this run:"
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
        _PAGE.format(version=html.escape(VERSION), instead=html.escape(instead), parts=body),
        headers={"Content-Security-Policy": _POLICY},
    )
