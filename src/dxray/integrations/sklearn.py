"""`dxray.instrument_sklearn(pipeline)`: what each step of a scikit-learn `Pipeline` did with features and with rows.

After a fit, each fitted transformer is asked which features it was given and which came out; rows are compared, by
the labels of a frame's index, around each transformer's own call. The pipeline, its clones and its pickles are not
touched: while any pipeline is instrumented, the methods of its class and of its transformers' classes look whether
the object they are called on is one that is watched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from inspect import getattr_static
from typing import Any
from weakref import WeakKeyDictionary

from dxray.integrations.adapter import Handle, known, needed
from dxray.integrations.sklearn_features import record_features, rows_of, say_rows
from dxray.sdk.guard import guard
from dxray.sdk.null import NullRun
from dxray.sdk.run import Run
from dxray.sdk.step import Step
from dxray.sdk.xray import XRay, current_run

FIRST, BEFORE = (1, 6), (2,)

FITS = ("fit", "fit_transform", "fit_predict")
ASKS = ("transform", "predict", "predict_proba", "predict_log_proba", "decision_function", "score", "score_samples")
STAGES = ("fit_transform", "transform", "fit_resample")

Hook = Callable[..., Any]


def instrument(pipeline: Any, *, name: str = "sklearn") -> Handle:
    """Record the fits of a `Pipeline`, into the run that is open, else into a run of the pipeline `name`, one a call.

    Returns a handle; its `off()` takes the adapter off again. Clones, as a grid search fits them, are not recorded.
    Raises `ImportError` without scikit-learn, and `TypeError` for what is no pipeline.
    """
    needed("sklearn", "sklearn")
    if not hasattr(pipeline, "steps") or not hasattr(pipeline, "named_steps"):
        raise TypeError(f"instrument_sklearn takes a scikit-learn Pipeline, not {type(pipeline).__name__}")
    if not known("scikit-learn", FIRST, BEFORE):
        return Handle()
    undo: list[Callable[[], None]] = []
    with guard:
        undo.append(_watch(pipeline, (*FITS, *ASKS), partial(_piped, name)))
    for step_name, transformer in pipeline.steps:
        with guard:  # one whose class cannot be touched costs the others nothing
            if transformer is not None and not isinstance(transformer, str):
                undo.append(_watch(transformer, STAGES, partial(_staged, step_name)))
    return Handle(*undo)


# -- hooks -------------------------------------------------------------------------------------------


class _Session:
    """One call of a watched pipeline: its run is begun with the first step that is recorded."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: Step | None = None  # the last step that was about rows
        self._own: Run | NullRun | None = None

    def run(self) -> Run | NullRun:
        run = current_run()
        if not run:
            self._own = run = XRay(self.name).run()
            run.__enter__()
        return run

    def end(self, error: BaseException | None) -> None:
        if self._own is not None:
            self._own.__exit__(type(error) if error is not None else None, error, None)


_session: ContextVar[_Session | None] = ContextVar("dxray_sklearn", default=None)
_stage: ContextVar[str | None] = ContextVar("dxray_sklearn_stage", default=None)


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _piped(name: str, pipeline: Any, method: str, call: Hook, args: Any, options: Any) -> Any:
    """A call of a watched pipeline."""
    if _session.get() is not None:  # `fit_predict` that calls `fit`
        return call(*args, **options)
    session = _Session(name)
    failed: BaseException | None = None
    try:
        with _set(_session, session):
            result = call(*args, **options)
        if method in FITS:
            with guard:
                record_features(session.run(), pipeline, args[0] if args else options.get("X"))
        return result
    except BaseException as error:
        failed = error
        raise
    finally:
        with guard:
            session.end(failed)


def _staged(name: str, _: Any, method: str, call: Hook, args: Any, options: Any) -> Any:
    """A call of a watched transformer, from inside of its pipeline; what it calls of itself is a part of it."""
    session = _session.get()
    if session is None or _stage.get() is not None:
        return call(*args, **options)
    before = None
    with guard:
        before = rows_of(args[0] if args else options.get("X"))  # now: it may change the frame in its place
    with _set(_stage, name):
        result = call(*args, **options)
    with guard:
        out = result[0] if isinstance(result, tuple) and result else result
        after = rows_of(out)
        if before is not None and after is not None:
            session.rows = say_rows(session.run, name, method, before, after, session.rows) or session.rows
    return result


# -- methods that look whom they are called on -------------------------------------------------------


class _Method:
    """A method of a class, in its place: of an object that is watched, its calls go through a hook."""

    def __init__(self, name: str, original: Any, own: bool) -> None:
        self.name = name
        self.original = original
        self.own = own  # whether the class itself defined it
        self.hooks: WeakKeyDictionary[Any, Hook] = WeakKeyDictionary()

    def __get__(self, one: Any, kind: Any = None) -> Any:
        bound = self.original.__get__(one, kind)  # raises where the original is not available
        hook = self.hooks.get(one) if one is not None else None
        return bound if hook is None else wraps(bound)(partial(_hooked, hook, one, self.name, bound))

    def __getattr__(self, name: str) -> Any:
        if name in ("original", "__wrapped__"):  # while being made
            raise AttributeError(name)
        return getattr(self.original, name)


def _hooked(hook: Hook, one: Any, method: str, call: Hook, /, *args: Any, **options: Any) -> Any:
    return hook(one, method, call, args, options)


_lock = threading.Lock()


def _watch(one: Any, names: tuple[str, ...], hook: Hook) -> Callable[[], None]:
    """Watch an object's methods of these names; returns what ends it."""
    kind = type(one)
    with _lock:
        here = [name for name in names if getattr_static(kind, name, None) is not None]
        for name in here:
            method = kind.__dict__.get(name)
            if not isinstance(method, _Method):
                original = getattr_static(kind, name)
                original = original.original if isinstance(original, _Method) else original
                method = _Method(name, original, name in kind.__dict__)
                setattr(kind, name, method)
            method.hooks[one] = hook
    return partial(_unwatch, kind, one, here)


def _unwatch(kind: type, one: Any, names: list[str]) -> None:
    with _lock:
        for name in names:
            method = kind.__dict__.get(name)
            if not isinstance(method, _Method):
                continue
            method.hooks.pop(one, None)
            if not len(method.hooks):
                if method.own:
                    setattr(kind, name, method.original)
                else:
                    delattr(kind, name)
