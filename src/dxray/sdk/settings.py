"""Where settings come from: arguments, then `configure(...)`, then `DXRAY_*`, then `pyproject.toml`."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from dxray.sdk.capture import CAPTURES
from dxray.sdk.guard import guard, logger
from dxray.sdk.values import as_text

OFFLINE_MODES = ("buffer", "drop", "strict")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an `XRay` needs to know. Times in seconds."""

    api_url: str = "http://localhost:8000"
    api_key: str | None = None
    project: str = "default"
    offline_mode: str = "buffer"
    capture: str = "auto"
    environment: str | None = None
    code_version: str | None = None
    spool_dir: str = "~/.dxray/spool"
    spool_bytes: int = 512 * 1024 * 1024  # the most it holds; past it the oldest goes first, and is counted
    strict_timeout: float = 10.0
    show_url: bool = True  # print a run's address once, on a terminal
    disabled: bool = False

    @property
    def spool_root(self) -> Path:
        """The spool's folder."""
        return Path(self.spool_dir).expanduser()


NAMES = tuple(field.name for field in fields(Settings))
_CHOICES = {"offline_mode": OFFLINE_MODES, "capture": CAPTURES}
_configured: dict[str, Any] = {}


def configure(**settings: Any) -> None:
    """Settings for every `XRay` made from now on in this process, e.g. `configure(api_url=...)`.

    Names: api_url, api_key, project, offline_mode, capture, environment, code_version, spool_dir,
    spool_bytes, strict_timeout, show_url, disabled. An unknown name is logged with the nearest one, and ignored.
    """
    with guard:
        _configured.update(_known(settings))


def resolve(**arguments: Any) -> Settings:
    """The settings in force, given an `XRay`'s own arguments (None: not given). Never raises."""
    values: dict[str, Any] = {}
    with guard:
        values.update(_known(_of_pyproject(os.getcwd())))
    with guard:
        values.update(_of_environment())
    values.update(_configured)
    with guard:
        values.update(_known({name: value for name, value in arguments.items() if value is not None}))
    settings = Settings()
    for name, value in values.items():
        with guard:
            settings = replace(settings, **{name: _typed(name, value)})
    return replace(settings, api_url=_address(settings.api_url))


def _address(url: str) -> str:
    """An address without a scheme, such as `localhost:8000`, is one for HTTP."""
    url = url.strip().rstrip("/")
    return url if "://" in url else f"http://{url}"


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    known = {}
    for name, value in settings.items():
        if name in NAMES:
            known[name] = value
            continue
        near = get_close_matches(name, NAMES, n=1)
        logger.warning("dxray has no setting %r%s; it is ignored", name, f"; did you mean {near[0]!r}?" if near else "")
    return known


def _of_environment() -> dict[str, Any]:
    return {name: os.environ[f"DXRAY_{name.upper()}"] for name in NAMES if f"DXRAY_{name.upper()}" in os.environ}


@lru_cache(maxsize=8)
def _of_pyproject(folder: str) -> dict[str, Any]:
    path = Path(folder) / "pyproject.toml"
    if not path.is_file():
        return {}
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("dxray", {})
    return {name: value for name, value in table.items() if name in NAMES}


def _typed(name: str, value: Any) -> Any:
    if name in _CHOICES:
        if type(value) is not str or value not in _CHOICES[name]:
            said = " ".join(_CHOICES[name])
            logger.warning("dxray: %s=%s is none of %s; the default is used", name, as_text(value, 100), said)
            return getattr(Settings(), name)
        return value
    if name in ("disabled", "show_url"):
        return value.lower() not in ("", "0", "false", "no") if isinstance(value, str) else bool(value)
    if name == "strict_timeout":
        return float(value)
    if name == "spool_bytes":
        return int(value)
    return value if value is None else as_text(value, 4096)
