"""The two sets of runs that `explain` compares, as filters: a time and the time before it, two versions, a label."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dxray.connection import ClientError

_AGE = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Time = str | datetime


def two_sets(
    a: str | None = None,
    b: str | None = None,
    *,
    since: Time | None = None,
    until: Time | None = None,
    versions: tuple[str, str] | None = None,
    label: str | None = None,
    pipeline: str | None = None,
) -> dict[str, str]:
    """The filters `a` and `b`, said in one of these ways. Raises `ClientError` where it is none, or several."""
    ways = {"a and b": a or b, "since": since, "versions": versions, "label": label}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        which = " or ".join(given) if given else "a and b, since, versions or label"
        raise _misused("which two sets?", f"give one of: {which}")
    if until is not None and since is None:
        raise _misused("until goes with since", "the runs in between are compared with those before")
    if since is not None:
        sets = _in_time(since, until)
    elif versions is not None:
        sets = {name: f"version:{_quoted(value)}" for name, value in zip("ab", versions, strict=True)}
    elif label is not None:
        sets = {"a": f"-label:{_quoted(label)}", "b": f"label:{_quoted(label)}"}
    elif a is None or b is None:
        raise _misused(f"{'a' if a is None else 'b'} is missing", "give the filter of the other set of runs too")
    else:
        sets = {"a": a, "b": b}
    of = "" if pipeline is None else f"pipeline:{_quoted(pipeline)} "
    return {name: f"{of}{q}".strip() for name, q in sets.items()}


def outcome_of(outcome: str | None, label: str | None) -> str:
    """What is asked of the sets: of labelled runs what tells them from the others, of all else what was rejected."""
    return outcome or (f"label:{label}" if label is not None else "rejected")


def _in_time(since: Time, until: Time | None) -> dict[str, str]:
    """The runs of a time, and those of the same length before it."""
    now = datetime.now(UTC)
    middle, end = _moment("since", since, now), now if until is None else _moment("until", until, now)
    if middle >= end:
        raise _misused("since is not before until" if until is not None else f"since {since} lies ahead")
    try:
        first = middle - (end - middle)
    except OverflowError:
        raise _misused(f"since {since} is longer ago than there are times") from None
    to = "" if until is None else f" until:{_written(end)}"
    return {"a": f"since:{_written(first)} until:{_written(middle)}", "b": f"since:{_written(middle)}{to}"}


def _moment(name: str, said: Time, now: datetime) -> datetime:
    if isinstance(said, datetime):
        return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
    try:
        age = _AGE.fullmatch(said)
        if age is not None:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        found = datetime.fromisoformat(said)
    except OverflowError:
        raise _misused(f"{name} {said} is longer ago than there are times") from None
    except ValueError:
        raise _misused(f"{name} {said!r} is no time", "write 15m, 1h, 7d or 2026-11-23T10:00:00Z") from None
    return _moment(name, found, now)


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return value if re.fullmatch(r"[\w.:+-]+", value) else f'"{escaped}"'


def _misused(detail: str, fix: str | None = None) -> ClientError:
    return ClientError(422, {"title": "A value is not valid", "detail": detail, "fix": fix})
