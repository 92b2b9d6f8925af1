"""Who may come in: this machine, addressed as itself, and no other site's page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dxray.server.app import create_app
from dxray.server.settings import Settings

ROUTES = ["/", "/ui/", "/runs", "/runs/x", "/runs/x/why?item=1", "/steps", "/pipelines", "/healthz", "/nope"]


def connect(data: Path, base: str = "http://127.0.0.1:8000", client: str = "127.0.0.1", **settings: Any) -> TestClient:
    app = create_app(Settings(data=data, **settings))
    return TestClient(app, base_url=base, client=(client, 50_000), follow_redirects=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "LOCALHOST:8", "localhost."])
def test_names_of_this_machine(shared: TestClient, host: str) -> None:
    assert shared.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "0.0.0.0", "", "[::2]", "::1:x"],
)
@pytest.mark.parametrize("path", ROUTES)
def test_any_other_host_is_refused_everywhere(shared: TestClient, host: str, path: str) -> None:
    answer = shared.get(path, headers={"host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == "Host"


def test_hosts_may_be_allowed_for_proxies(tmp_path: Path) -> None:
    with connect(tmp_path, allowed_hosts=("xray.example",)) as api:
        assert api.get("/healthz", headers={"host": "XRAY.example:443"}).status_code == 200
        assert api.get("/healthz", headers={"host": "a.xray.example"}).status_code == 403


def test_another_machine_gets_401(tmp_path: Path) -> None:
    with connect(tmp_path, client="10.1.2.3") as api:
        for path in ROUTES:
            answer = api.get(path)
            assert answer.status_code == 401
            assert "10.1.2.3" in answer.json()["detail"]
        assert api.post("/runs", json={"pipeline": "p"}).status_code == 401


@pytest.mark.parametrize("client", ["::1", "::ffff:127.0.0.1", "127.8.8.8"])
def test_every_loopback_address_is_this_machine(tmp_path: Path, client: str) -> None:
    with connect(tmp_path, client=client) as api:
        assert api.get("/healthz").status_code == 200


def test_a_server_address_that_others_reach_gets_401(tmp_path: Path) -> None:
    with connect(tmp_path, base="http://10.0.0.5:8000", allowed_hosts=("10.0.0.5",)) as api:
        assert api.get("/healthz").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": ""},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(shared: TestClient, headers: dict[str, str]) -> None:
    assert shared.post("/runs", json={"pipeline": "p"}, headers=headers).status_code == 403
    assert shared.post("/ingest", content=b"", headers=headers).status_code == 403
    assert shared.get("/runs", headers=headers).json()["total"] == 0


def test_the_own_page_and_programs_may(api: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert api.post("/runs", json={"pipeline": "p"}, headers=own).status_code == 201
    assert api.post("/runs", json={"pipeline": "p"}).status_code == 201


def test_every_answer_has_the_headers(shared: TestClient) -> None:
    for answer in (
        shared.get("/runs"),
        shared.get("/nope"),
        shared.get("/ui/"),
        shared.get("/runs", headers={"host": "x"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_what_nobody_foresaw_is_told_in_the_log_only(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from dxray.server.questions import runs

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret inside")

    monkeypatch.setattr(runs, "runs", fail)
    answer = api.get("/runs")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "a secret inside" in caplog.text
