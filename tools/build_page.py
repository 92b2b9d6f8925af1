"""The build hook of the package: puts the web page into it.

A wheel or an sdist of a release carries the built page, so that an install needs no Node. Where the page is
not built, this builds it: `npm ci && npm run build` in `ui/`. What comes without it is only an install from a
checkout on a machine without Node: that is told, and goes on, and `/ui/` says the command. A release
(`DXRAY_RELEASE=1`, and every sdist) fails instead. Editable installs are left alone: `make ui` builds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "src/dxray/server/page"


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is private to hatchling
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel or an sdist is put together."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / PAGE / "index.html").is_file():
            fault = build(root / "ui")
            if fault and (self.target_name == "sdist" or os.environ.get("DXRAY_RELEASE")):
                raise RuntimeError(f"the web page is not built: {fault}")
            if fault:
                self.app.display_warning(f"dxray is installed without its web page: {fault}. `make ui` builds it.")
                return
        build_data["artifacts"].append(f"/{PAGE}/**")


def build(folder: Path) -> str | None:
    """Build the page in `folder`; what kept it from being built, None if nothing did."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm here; install Node 20 or newer"
    if not (folder / "package-lock.json").is_file():
        return f"there is no {folder}/package-lock.json"
    for command in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run([npm, *command], cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            return f"`npm {' '.join(command)}` failed: {' '.join(said[:4]) or done.returncode}"
    return None
