"""A question that takes long shows that it is at work, on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO

AFTER_S = 0.5  # what is quicker needs no words
_EVERY_S = 0.1
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII = "|/-\\"
_WIPED = "\r\x1b[2K"


@contextmanager
def waiting(words: str, as_json: bool = False) -> Iterator[None]:
    """Say on a terminal what is waited for, and for how long; nothing where an answer in JSON goes to a pipe.

    Ctrl-C ends the wait and the command, with 130; the connection closes, so the server stops working too.
    """
    if not _is_watched(sys.stderr) or (as_json and not sys.stdout.isatty()):
        yield
        return
    done = Event()
    thread = Thread(target=_show, args=(sys.stderr, words, done), name="dxray-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _is_watched(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _show(out: TextIO, words: str, done: Event) -> None:
    began = time.monotonic()
    if done.wait(AFTER_S):
        return
    unicode = (out.encoding or "").lower().replace("-", "") == "utf8"
    frames = _FRAMES if unicode else _ASCII
    number = 0
    try:
        while True:
            seconds = time.monotonic() - began
            out.write(f"{_WIPED}{frames[number % len(frames)]} {words}, {seconds:.0f} s; Ctrl-C ends it")
            out.flush()
            number += 1
            if done.wait(_EVERY_S):
                return
    finally:
        out.write(_WIPED)
        out.flush()
