"""The import hook: failpoint comments of the product become calls, and planted bugs are patched in.

A failpoint is a comment on a line of its own, `# failpoint: spool.appended`. Where nobody installs this
hook it is nothing. `DXRAY_FAULTS` holds the configuration as JSON:

    ledger    path of the ledger's socket
    kill      [failpoint, n]: die by SIGKILL when it is reached the n-th time from here on
    fail      [failpoint, n]: raise there every n-th time
    patches   [[module, old text, new text], ...]; each must apply exactly once
    sets      {"dxray.sdk.spool.SEGMENT_BYTES": 65536}: a module's constants, once it is imported
    clock     [[after seconds, step in seconds], ...]: time.time() jumps so
    watch_syncs  whether fdatasync and fsync are followed, for the power that fails
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.faults import hook

VARIABLE = "DXRAY_FAULTS"
SOURCE = Path(__file__).resolve().parents[2] / "src" / "dxray"
MARKER = re.compile(r"^([ \t]*)# failpoint: (\S+)[ \t]*$", re.MULTILINE)


class PatchDoesNotApply(Exception):
    """A planted bug's text is not in the module exactly once: the code was changed, the bug must follow."""


def rewritten(text: str) -> str:
    """Source whose failpoints are calls; line numbers stay."""
    return MARKER.sub(lambda found: f'{found[1]}_dxray_reach("{found[2]}", locals())', text)


def patched(module: str, text: str, patches: Sequence[Sequence[str]]) -> str:
    """Source with the patches that are meant for this module."""
    for target, old, new in patches:
        if target != module:
            continue
        if (times := text.count(old)) != 1:
            raise PatchDoesNotApply(f"{module}: {times} times, not once: {old!r}")
        text = text.replace(old, new)
    return text


def failpoints() -> dict[str, str]:
    """Every failpoint of the product's source, and where it is."""
    found: dict[str, str] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        for match in MARKER.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.setdefault(match[2], f"{path.relative_to(SOURCE)}:{line}")
    return found


class _Loader(importlib.machinery.SourceFileLoader):
    patches: Sequence[Sequence[str]] = ()
    sets: Mapping[str, Any] = {}

    def get_code(self, fullname: str) -> CodeType | None:
        text = self.get_data(self.path).decode("utf-8")
        changed = rewritten(patched(fullname, text, self.patches))
        if changed == text:
            return super().get_code(fullname)  # from the cache, as ever
        return compile(changed, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for name, value in self.sets.items():
            owner, _, constant = name.rpartition(".")
            if owner == module.__name__:
                if not hasattr(module, constant):
                    raise PatchDoesNotApply(f"{owner} has no {constant}")
                setattr(module, constant, value)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._patches = config.get("patches", ())
        self._sets = config.get("sets", {})

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "dxray":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            loader = _Loader(fullname, spec.loader.path)
            loader.patches, loader.sets = self._patches, self._sets
            spec.loader = loader
        return spec


def install(config: Mapping[str, Any] | None = None) -> None:
    """Put the hook into this process, before anything of `dxray` is imported."""
    early = [name for name in sys.modules if name.partition(".")[0] == "dxray"]
    if early:
        raise RuntimeError(f"imported before the hook was there: {early[:3]}")
    if config is None:
        config = json.loads(os.environ.get(VARIABLE, "{}"))
    _check_names(config)
    builtins._dxray_reach = hook.reach  # type: ignore[attr-defined]  # a name that every module sees
    hook.configure(config)
    if config.get("watch_syncs"):
        _watch_syncs(Path(config["durable"]))
    if config.get("clock"):
        _step_the_clock(config["clock"])
    sys.meta_path.insert(0, _Finder(config))


def _check_names(config: Mapping[str, Any]) -> None:
    modules = [patch[0] for patch in config.get("patches", ())]
    modules += [name.rpartition(".")[0] for name in config.get("sets", {})]
    for module in modules:
        base = SOURCE.parent / module.replace(".", "/")
        if not base.with_suffix(".py").exists() and not (base / "__init__.py").exists():
            raise PatchDoesNotApply(f"there is no module {module}")
    kill = (config.get("kill") or (None,))[0]
    if kill is not None and kill not in failpoints():
        raise PatchDoesNotApply(f"there is no failpoint {kill!r} in {SOURCE}")


def _watch_syncs(durable: Path) -> None:
    """After each sync of a file, note how much of it would outlive the power."""
    for name in ("fdatasync", "fsync"):
        real = getattr(os, name)

        def noting(fd: Any, real: Any = real) -> None:
            real(fd)
            number = fd if isinstance(fd, int) else fd.fileno()
            path = Path(os.readlink(f"/proc/self/fd/{number}"))
            if path.is_file():
                (durable / path.name).write_bytes(path.read_bytes())

        setattr(os, name, noting)


def _step_the_clock(steps: Sequence[Sequence[float]]) -> None:
    real, real_ns, start = time.time, time.time_ns, time.monotonic()

    def offset() -> float:
        passed = time.monotonic() - start
        return sum(step for after, step in steps if passed >= after)

    time.time = lambda: real() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)


def obey_stdin() -> None:
    """Take configuration lines from stdin while the process works; the end of stdin is the end of the process."""

    def loop() -> None:
        rest = b""
        while chunk := os.read(0, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                said = json.loads(line)
                hook.configure(said)
                commands.update(said)
        os._exit(9)

    threading.Thread(target=loop, daemon=True, name="faults-stdin").start()


commands: dict[str, Any] = {}  # what stdin said last, by name
