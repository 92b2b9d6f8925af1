"""The one base of errors, each with its HTTP status; the message names what was wrong, `fix` what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DxrayError(Exception):
    """An error a caller may see as it is.

    `detail` says what was wrong, with the name and the value; `field` names the parameter or the path in
    the body; `fix` says what to do next. As a problem document (RFC 9457) these are its members.
    """

    status = 500
    title = "The server failed"

    def __init__(self, detail: str, *, field: str | None = None, fix: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.fix = fix

    def problem(self) -> dict[str, object]:
        """The members of the problem document."""
        out: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            out["field"] = self.field
        if self.fix is not None:
            out["fix"] = self.fix
        return out

    def line(self) -> str:
        """The error as one line for a terminal."""
        return self.detail if self.fix is None else f"{self.detail} ({self.fix})"


class BadRequest(DxrayError):
    """The body cannot be read at all."""

    status = 400
    title = "The body cannot be read"


class Unauthorized(DxrayError):
    """Who asks is not known here."""

    status = 401
    title = "Not allowed without a key"


class Forbidden(DxrayError):
    """The request came in a way that is not served."""

    status = 403
    title = "Not served this way"


class NotFound(DxrayError):
    """There is no such thing."""

    status = 404
    title = "Not found"


class Conflict(DxrayError):
    """Something else is there already under the same name."""

    status = 409
    title = "Other content is already there"


class TooLarge(DxrayError):
    """More than is taken at once."""

    status = 413
    title = "Too large"


class Invalid(DxrayError):
    """A field or a parameter that does not exist, or has a value it cannot have."""

    status = 422
    title = "A value is not valid"


class Busy(DxrayError):
    """Too much is waiting; ask again after `retry_after` seconds."""

    status = 503
    title = "Busy"

    def __init__(self, detail: str, *, retry_after: float = 1.0, fix: str | None = None) -> None:
        super().__init__(detail, fix=fix or f"try again in {retry_after:g} s")
        self.retry_after = retry_after


class StoreError(DxrayError):
    """The store did not do what it was asked; nothing of it became visible."""

    status = 503
    title = "The store failed"


class CannotStart(DxrayError):
    """The server cannot start here; the message is one line for a terminal."""

    title = "The server cannot start"


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?` for a name that does not exist, or all known ones; for use as a `fix`."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return "known here: " + ", ".join(names) if names else "there are none here"
