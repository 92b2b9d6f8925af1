"""What runs and steps have in common: times, input, output, metadata, error."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from typing import Any

from dxray.sdk.guard import guard
from dxray.sdk.values import as_text, is_cut, is_small, json_text, safe_repr, snapshot

# Wall clock at import plus a monotonic delta: a clock that is set back makes no negative duration.
START_US = time.time_ns() // 1000 - time.perf_counter_ns() // 1000


def now_us() -> int:
    """Microseconds since 1970, never going back within a process."""
    return START_US + time.perf_counter_ns() // 1000


def error_text(error: BaseException) -> str:
    """An exception as JSON text: its type, its message and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    try:
        # Nested lists may have a billion leaves: what holds them is named by its parts.
        small = is_small(error.args)
        message = str(error)[:2000] if small else ", ".join(map(safe_repr, error.args[:10]))
    except Exception:
        message = safe_repr(error)
    return json_text({"type": type(error).__name__, "message": message, "where": where})[0]


def fingerprint(text: str, key: str) -> str:
    """A short hash of JSON text, the same for any order of keys, keyed by project."""
    canonical = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=10, key=key.encode()[:64]).hexdigest()


class Fields:
    """The parts that a run and a step share. Values are turned into text when they are set."""

    _started_at: int | None = None
    _ended_at: int | None = None
    _error: str | None = None
    _metadata: dict[str, Any] | None = None
    _texts: dict[str, str] | None = None
    _marks: list[str] | None = None

    def set_input(self, value: Any) -> None:
        """What went in; any value. Stored as it is now."""
        with guard:
            self._set_text("input", value)

    def set_output(self, value: Any) -> None:
        """What came out; any value. Stored as it is now."""
        with guard:
            self._set_text("output", value)

    def set_metadata(self, key: str, value: Any) -> None:
        """A fact to find this by later, e.g. `set_metadata("version", 2)`."""
        with guard:
            self._metadata = self._added(self._metadata, {as_text(key): value}, "metadata")

    def _added(self, known: dict[str, Any] | None, more: dict[str, Any], name: str) -> dict[str, Any]:
        marks: list[str] = []
        added = {**(known or {}), **{key: snapshot(value, marks) for key, value in more.items()}}
        self._changed(name, marks)
        return added

    def _set_text(self, name: str, value: Any) -> None:
        text, marks = json_text(value)
        if self._texts is None:
            self._texts = {}
        self._texts[name] = text
        self._changed(name, marks)

    def _changed(self, name: str, marks: list[str]) -> None:
        """Say what of a value was changed to store it."""
        if marks:
            self._marks = [*(self._marks or ()), *(f"{name}: {mark}" for mark in marks)]
            self._lost("truncated", is_cut(marks))

    def _lost(self, cause: str, n: int) -> None:
        """Count what could not be recorded as it was."""
        raise NotImplementedError

    def _start(self) -> None:
        self._started_at = now_us()

    def _end(self) -> None:
        self._ended_at = now_us()

    def _fill(self, record: Any, project: str) -> None:
        """Put the shared parts into a record, in the background where they are encoded."""
        record.started_at = self._started_at
        record.ended_at = self._ended_at
        if self._ended_at is not None and self._started_at is not None:
            record.duration_ms = (self._ended_at - self._started_at) / 1000
        record.error = self._error
        for name, text in (self._texts or {}).items():
            setattr(record, name, text)
            setattr(record, f"{name}_fingerprint", fingerprint(text, project))
        for name in ("metadata", "config", "usage"):
            value = getattr(self, f"_{name}", None)
            if value is not None:
                text, marks = json_text(value)
                setattr(record, name, text)
                if name == "config":
                    record.config_fingerprint = fingerprint(text, project)
                self._changed(name, marks)
        if self._marks:
            record.marks = list(dict.fromkeys(self._marks))
