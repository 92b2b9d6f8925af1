"""What is installed carries the web page: a wheel built from a clean clone, with and without the page built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = Path("src/dxray/server/page")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files of the checkout that are its own: no build, no environment."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no clone")
    for name in done.stdout.decode().rstrip("\0").split("\0"):
        if name.startswith(("src/", "tools/", "ui/index", "ui/package")) or "/" not in name:
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (CHECKOUT / name).is_file():
                shutil.copyfile(CHECKOUT / name, target)
    return tmp_path / "clone"


def wheel(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(clone.parent / "dist")]
    settings = {name: value for name, value in os.environ.items() if name != "DXRAY_RELEASE"}
    return subprocess.run(
        command, cwd=clone, env={**settings, **environment}, capture_output=True, text=True, check=False
    )


def names(clone: Path) -> set[str]:
    [built] = (clone.parent / "dist").glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_a_wheel_carries_the_built_page(clone: Path) -> None:
    if not (CHECKOUT / PAGE / "index.html").is_file():
        pytest.skip("the page is not built (make ui)")
    shutil.copytree(CHECKOUT / PAGE, clone / PAGE)
    done = wheel(clone, DXRAY_RELEASE="1")
    assert done.returncode == 0, done.stderr
    found = names(clone)
    assert "dxray/server/page/index.html" in found
    page = zipfile.ZipFile(next((clone.parent / "dist").glob("*.whl"))).read("dxray/server/page/index.html").decode()
    asked = {part.split('"')[0] for part in page.split("/ui/assets/")[1:]}
    assert asked
    assert {f"dxray/server/page/assets/{name}" for name in asked} <= found
    assert "dxray/server/page/scheme.js" in found
    assert not any(name.startswith(("ui/", "tests/", "tools/")) for name in found)


def test_where_it_cannot_be_built_a_release_fails_and_an_install_says_the_command(clone: Path) -> None:
    nothing = clone.parent / "nothing"
    nothing.mkdir()
    release = wheel(clone, DXRAY_RELEASE="1", PATH=str(nothing))
    assert release.returncode != 0
    assert "the web page is not built: there is no npm here" in release.stdout + release.stderr
    install = wheel(clone, PATH=str(nothing))
    assert install.returncode == 0, install.stderr
    assert "`make ui` builds it" in install.stdout + install.stderr
    assert not any(name.startswith("dxray/server/page/") for name in names(clone))
    assert "dxray/server/api/page.py" in names(clone)
