"""Reads that do not need one another, side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

READING = ThreadPoolExecutor(4, "dxray-read")  # its threads start with the first use; what they run waits for no other
