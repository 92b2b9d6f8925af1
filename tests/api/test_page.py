"""The web page: how it is served, and what stands in its place where it is not built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dxray.server.api import page
from dxray.server.app import create_app
from dxray.server.settings import Settings

INDEX = '<!doctype html><meta property="csp-nonce" nonce="{{nonce}}"><title>X-Ray</title>'


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "index-abc.js").write_text("go()")
    (tmp_path / "other.txt").write_text("of someone else")
    monkeypatch.setattr(page, "BUILT", folder)
    return folder


@pytest.fixture
def not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "BUILT", tmp_path / "nothing")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "path", ["", "runs", "runs/run_1", "runs/run_1/item?item=../../x", "compare?a=1&b=2", "no/such"]
)
def test_any_address_of_the_page_gives_the_page(shared: TestClient, path: str) -> None:
    answer = shared.get(f"/ui/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert "<title>X-Ray" in answer.text


@pytest.mark.usefixtures("built")
def test_only_its_own_scripts_and_styles_run_and_the_nonce_is_new_each_time(shared: TestClient) -> None:
    nonces = set()
    for _ in range(3):
        answer = shared.get("/ui/")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        nonce = policy.pop("style-src").removeprefix("'self' 'nonce-").removesuffix("'")
        assert len(nonce) >= 20
        assert f'nonce="{nonce}"' in answer.text
        assert "{{nonce}}" not in answer.text
        nonces.add(nonce)
        assert policy == {
            "default-src": "'none'",
            "script-src": "'self'",
            "connect-src": "'self'",
            "img-src": "'self' data:",
            "font-src": "'self'",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
    assert len(nonces) == 3


@pytest.mark.usefixtures("built")
def test_assets_are_kept_for_good_and_the_rest_is_asked_for_again(shared: TestClient) -> None:
    script = shared.get("/ui/assets/index-abc.js")
    assert (script.status_code, script.text) == (200, "go()")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["x-content-type-options"] == "nosniff"
    assert shared.get("/ui/icon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.usefixtures("built")
def test_an_asset_of_an_older_build_is_missing_and_not_the_page(shared: TestClient) -> None:
    answer = shared.get("/ui/assets/index-old.js")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("path", ["../other.txt", "..%2fother.txt", "assets/..%2f..%2fother.txt", "%00", "a" * 5000])
def test_nothing_outside_of_the_page_is_served(shared: TestClient, path: str) -> None:
    answer = shared.get(f"/ui/{path}")
    assert answer.status_code in (200, 404)
    assert "of someone else" not in answer.text


@pytest.mark.usefixtures("not_built")
def test_where_it_is_not_built_it_says_the_command_and_how_to_read_on(shared: TestClient) -> None:
    to = shared.get("/", follow_redirects=False)
    assert (to.status_code, to.headers["location"]) == (307, "/ui/")
    answer = shared.get("/ui/runs/run_1")
    assert answer.status_code == 200
    assert "make ui" in answer.text
    assert "dxray show run_1" in answer.text
    assert "curl http://127.0.0.1:8000/runs/run_1" in answer.text
    assert "<script" not in answer.text
    nasty = shared.get("/ui/runs/%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script" not in nasty.text


def test_the_types_of_the_page_are_those_of_this_api(tmp_path: Path) -> None:
    written = json.loads((Path(__file__).parents[2] / "ui" / "openapi.json").read_text("utf-8"))
    found = create_app(Settings(data=tmp_path)).openapi()
    found["info"]["version"] = ""
    assert found == written, "the API has changed: `npm run types` in ui/ writes the page's types again"
