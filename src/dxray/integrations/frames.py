"""`dxray.watch(frame, key="id")`: a pandas or polars frame whose filters, joins, sorts and cuts become steps.

What `watch` returns stands for the frame: everything is the frame's own, and what it computes is a plain series, a
plain value, or, where it is a frame that still has the key, a watched one. Ids before and after each call are
compared; the frame's own result or exception is what the caller sees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from inspect import ismethod
from types import FrameType
from typing import Any

from dxray.integrations.adapter import known, needed
from dxray.integrations.frames_chain import BEST, FILTERS, FIRST, RANKS, Chain, Order, Stage
from dxray.integrations.frames_items import Items, has_key, is_whole
from dxray.integrations.frames_words import columns_in, source_of, words_of
from dxray.sdk.guard import guard
from dxray.sdk.null import NullRun
from dxray.sdk.run import Run

KNOWN = {"pandas": ((2, 2), (4,)), "polars": ((1, 0), (3,))}

_INDEXERS = frozenset(("loc", "iloc"))


def watch(frame: Any, key: str = "id", *, run: Run | NullRun | None = None, pipeline: str = "frames") -> Any:
    """A frame that records: a pandas or polars `DataFrame`, whose column `key` holds the ids of its items.

    In pandas `key` may also be a level of the index. Steps go into `run`, else the run that is open, else a run of
    `pipeline` that begins at the first step; it ends with `unwatch()`, a `with` around the frame, when the last frame
    that came of this one is gone, or with the process.

    Raises `ImportError` without narwhals, `TypeError` for what is no such frame, and `KeyError` without that key.
    """
    needed("narwhals", "frames")
    frame = plain(frame)
    library = type(frame).__module__.partition(".")[0]
    kind = type(frame).__name__
    if library == "polars" and kind == "LazyFrame":
        raise TypeError("a LazyFrame has no rows yet: watch what it collects, dxray.watch(frame.collect(), key=...)")
    if library not in KNOWN or not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise TypeError(f"dxray.watch takes a pandas or polars DataFrame, not {type(frame).__module__}.{kind}")
    if not has_key(frame, key):
        raise KeyError(f"no column {key!r} in the frame, of {list(frame.columns)}: say which holds the ids with key=")
    on = known(library, *KNOWN[library])
    whole = False
    with guard:
        whole = on and is_whole(frame, key)
    return Watched(frame, Chain(key, whole, run, pipeline, on))


def plain(value: Any) -> Any:
    """A watched frame's own frame, also in a list; anything else as it is."""
    if type(value) is Watched:
        return value._frame
    if type(value) in (list, tuple) and any(type(one) is Watched for one in value):
        return type(value)(map(plain, value))
    return value


class Watched:
    """Stands for a frame; made by `watch`. `frame` is the plain one."""

    __slots__ = ("__weakref__", "_chain", "_frame", "_known_items", "_order")
    __hash__ = None  # type: ignore[assignment]  # as a frame's

    def __init__(self, frame: Any, chain: Chain, known_items: Items | None = None, order: Order | None = None) -> None:
        object.__setattr__(self, "_frame", frame)
        object.__setattr__(self, "_chain", chain)
        object.__setattr__(self, "_known_items", known_items)  # None: read when they are first needed
        object.__setattr__(self, "_order", order)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._frame)  # so that code which asks for a frame takes this as one

    @property
    def frame(self) -> Any:
        """The plain frame."""
        return self._frame

    def unwatch(self) -> Any:
        """The plain frame; a run that `watch` began ends here."""
        with guard:
            self._chain.end()
        return self._frame

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self.unwatch()

    def pipe(self, function: Any, *args: Any, **options: Any) -> Any:
        """As the frame's own; the function is given the watched frame."""
        if isinstance(function, tuple):
            function, name = function
            if name in options:
                raise ValueError(f"{name} is both the pipe target and a keyword argument")
            return function(*args, **{name: self}, **options)
        return function(self, *args, **options)

    # -- everything else is the frame's ----------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._frame, name)
        if name in _INDEXERS:
            return Indexer(self, name, value)
        return partial(self._called, name, value) if ismethod(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._frame, name, plain(value))
        self._forget()

    def __delattr__(self, name: str) -> None:
        delattr(self._frame, name)
        self._forget()

    def __getitem__(self, key: Any) -> Any:
        result = self._frame[plain(key)]
        if type(result) is not type(self._frame):
            return result
        name = "slice[]" if isinstance(key, slice) else "[]"
        if isinstance(key, (list, tuple)) and key and all(isinstance(one, str) for one in key):
            name = "columns[]"  # of these columns
        return self._next(result, name, (key,), {}, sys._getframe(1))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._frame[plain(key)] = plain(value)
        self._forget()

    def __delitem__(self, key: Any) -> None:
        del self._frame[key]
        self._forget()

    def __len__(self) -> int:
        return len(self._frame)

    def __bool__(self) -> bool:
        return bool(self._frame)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._frame)

    def __contains__(self, key: object) -> bool:
        return key in self._frame

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._frame), "frame", "unwatch"})

    def __repr__(self) -> str:
        return repr(self._frame)

    def __str__(self) -> str:
        return str(self._frame)

    def __array__(self, *args: Any, **options: Any) -> Any:
        return self._frame.__array__(*args, **options)

    def __copy__(self) -> Watched:
        return Watched(self._frame.copy() if hasattr(self._frame, "copy") else self._frame.clone(), self._chain)

    def __deepcopy__(self, memo: Any) -> Watched:
        return self.__copy__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return plain, (self._frame,)  # what travels is the plain frame

    # -- stages ------------------------------------------------------------------------------------

    def _called(self, name: str, method: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Call the frame's own method, and record what it made of the rows."""
        args, options = tuple(map(plain, args)), {key: plain(value) for key, value in options.items()}
        frame = self._frame
        if options.get("inplace") is True and hasattr(frame, "copy"):
            was = Watched(frame.copy(deep=False), self._chain, self._items(), self._order)
            result = method(*args, **options)
            changed = was._next(frame, name, args, options, sys._getframe(1))
            self._forget(getattr(changed, "_order", None) if type(changed) is Watched else None)
            return result
        result = method(*args, **options)
        if result is frame:  # changed in its place
            self._forget()
            return self
        if result is None:
            self._forget()
        if type(result) is not type(frame):
            return result
        return self._next(result, name, args, options, sys._getframe(1))

    def _next(self, result: Any, name: str, args: Any, options: Any, caller: FrameType) -> Any:
        """What a stage made of this frame: watched, where it has the key."""
        chain = self._chain
        watched = None
        with guard:
            if not has_key(result, chain.key):
                return result
            watched = Watched(result, chain)
            if chain.on:
                stage = self._stage(name, args, options, caller)
                was = self._items()
                if was is not None:
                    object.__setattr__(watched, "_order", stage.order if stage.name not in BEST else None)
                    object.__setattr__(watched, "_known_items", chain.record(stage, was, self._frame, result))
        return result if watched is None else watched

    def _items(self) -> Items | None:
        if self._known_items is None and self._chain.on:
            with guard:
                object.__setattr__(self, "_known_items", self._chain.items(self._frame))
        found: Items | None = self._known_items
        return found

    def _forget(self, order: Order | None = None) -> None:
        """The frame was changed in its place."""
        object.__setattr__(self, "_known_items", None)
        object.__setattr__(self, "_order", order)

    def _stage(self, name: str, args: Any, options: Any, caller: FrameType) -> Stage:
        columns = list(self._frame.columns)
        if name == "filter" and not hasattr(self._frame, "index"):  # of pandas it picks columns, or labels
            name = "mask"
        if name in ("mask", "[]", "loc[]", "remove"):
            said = source_of(caller) or getattr(args[0] if args else None, "name", None) or words_of("", args, options)
            found = [one.meta.root_names() for one in args if hasattr(one, "meta")]
            named = [*columns_in(str(said), columns), *(column for names in found for column in names)]
            called = {"mask": "filter", "[]": "filter", "loc[]": "loc"}.get(name, name)
            return Stage(name, f"{called} {said}".strip(), self._facts(named), self._order)
        words = words_of(name.removesuffix("[]"), args, options)
        if name == "query":
            return Stage(name, words, self._facts(columns_in(words, columns)), self._order)
        if name in RANKS:
            return Stage(name, words, [], _order_of(args, options, columns))
        if name in BEST:
            by = options.get("columns", options.get("by", args[1] if len(args) > 1 else None))
            by = by[0] if isinstance(by, list) and len(by) == 1 else by
            return Stage(name, words, [], Order(by, BEST[name]) if by in columns else None)
        return Stage(name, words, [], self._order if name in FILTERS or name in FIRST else None)

    def _facts(self, names: list[str]) -> list[str]:
        """The columns whose values are evidence of a predicate."""
        here = set(self._frame.columns)
        return [name for name in dict.fromkeys(names) if name != self._chain.key and name in here]


def _order_of(args: Any, options: Any, columns: list[Any]) -> Order | None:
    """What a sort sorts by, where that is one column."""
    by = options.get("by", args[0] if args else None)
    by = by[0] if isinstance(by, list) and len(by) == 1 else by
    if not isinstance(by, str) or by not in columns or len(args) > 1:
        return None
    ascending, descending = options.get("ascending", True), options.get("descending", False)
    first = [flag[0] if isinstance(flag, list) else flag for flag in (ascending, descending)]
    return Order(by, not first[0] or bool(first[1]))


class Indexer:
    """`loc` and `iloc` of a watched frame."""

    def __init__(self, watched: Watched, name: str, indexer: Any) -> None:
        self._watched = watched
        self._name = name
        self._indexer = indexer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._indexer, name)

    def __call__(self, *args: Any, **options: Any) -> Indexer:
        return Indexer(self._watched, self._name, self._indexer(*args, **options))

    def __getitem__(self, key: Any) -> Any:
        result = self._indexer[plain(key)]
        if type(result) is not type(self._watched._frame):
            return result
        return self._watched._next(result, f"{self._name}[]", (key,), {}, sys._getframe(1))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._indexer[plain(key)] = plain(value)
        self._watched._forget()


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: Watched, *others: Any) -> Any:
        method = getattr(self._frame, name, None)
        return NotImplemented if method is None else method(*map(plain, others))

    operate.__name__ = name
    return operate


for _name in (
    *("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "invert", "abs"),
    *(side + verb for side in ("", "r") for verb in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")),
    *(side + verb for side in ("", "r") for verb in ("and", "or", "xor", "matmul")),
):
    setattr(Watched, f"__{_name}__", _operator(f"__{_name}__"))
