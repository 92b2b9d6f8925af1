"""`@xray.observe` and `@xray.step(...)`: for functions, coroutines, generators, async generators."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any

from dxray.sdk import context
from dxray.sdk.guard import guard
from dxray.sdk.null import NULL_STEP

if TYPE_CHECKING:
    from dxray.sdk.xray import XRay

LONG = 100  # of a longer collection among the arguments, the first so many are kept

Opener = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def observe(xray: XRay, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:
    """See `XRay.observe`."""

    def open_run(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return xray.run(input=arguments(fn, args, kwargs), **options)

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        return _wrapped(fn, open_run)

    return decorate if function is None else decorate(function)


def step(name: str | None, step_type: str | None, options: dict[str, Any]) -> Any:
    """See `XRay.step`."""
    if callable(name):  # used bare, as `@xray.step`
        return step(None, None, {})(name)

    def open_step(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run = context.RUN.get()
        if run is None:
            return NULL_STEP
        opened = run.step(fn.__name__ if name is None else name, step_type, **options)
        opened.set_input(arguments(fn, args, kwargs))
        return opened

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        return _wrapped(fn, open_step)

    return decorate


def arguments(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by name; `self` left out, long collections shortened and counted."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {**{str(number): value for number, value in enumerate(args)}, **kwargs}
    return {name: shortened(value) for name, value in bound.items() if name not in ("self", "cls")}


def shortened(value: Any) -> Any:
    """The value, or the beginning and the count of a long collection."""
    with guard:
        if isinstance(value, list | tuple) and len(value) > LONG:
            return {"count": len(value), "first": list(value[:LONG])}
    return value


def _wrapped(fn: Callable[..., Any], opener: Opener) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(fn):

        @wraps(fn)
        async def over_async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            with opener(fn, args, kwargs) as opened:
                source, here = fn(*args, **kwargs), _current()
                _leave(opened)
                try:
                    while True:
                        with context.entered(*here):
                            try:
                                value = await anext(source)
                            except StopAsyncIteration:
                                return
                        yield value
                finally:
                    await source.aclose()

        return over_async_generator
    if inspect.isgeneratorfunction(fn):

        @wraps(fn)
        def over_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with opener(fn, args, kwargs) as opened:
                return (yield from _driven(fn(*args, **kwargs), opened))

        return over_generator
    if inspect.iscoroutinefunction(fn):

        @wraps(fn)
        async def over_coroutine(*args: Any, **kwargs: Any) -> Any:
            with opener(fn, args, kwargs) as opened:
                result = await fn(*args, **kwargs)
                opened.set_output(shortened(result))
                return result

        return over_coroutine

    @wraps(fn)
    def over_function(*args: Any, **kwargs: Any) -> Any:
        with opener(fn, args, kwargs) as opened:
            result = fn(*args, **kwargs)
            opened.set_output(shortened(result))
            return result

    return over_function


def _driven(source: Any, opened: Any) -> Generator[Any, Any, Any]:
    """Run a generator inside its run or step, and its consumer outside of it, whatever is sent or thrown in."""
    here = _current()
    _leave(opened)
    step, value = source.send, None
    while True:
        with context.entered(*here):
            try:
                produced = step(value)
            except StopIteration as end:
                return end.value
        try:
            value = yield produced
            step = source.send
        except GeneratorExit:
            with context.entered(*here):
                source.close()
            raise
        except BaseException as error:
            step, value = source.throw, error


def _current() -> tuple[Any, Any]:
    return context.RUN.get(), context.STEP.get()


def _leave(opened: Any) -> None:
    """Give the surrounding run and step back to the consumer; the opened one is entered for each item only."""
    token = getattr(opened, "_token", None)
    if token is not None:
        context.reset(token.var, token)
        opened._token = None
