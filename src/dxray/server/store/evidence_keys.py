"""Where the values of a key of evidence lie, as SQL.

A key has a place in `num` or `str` for each shape that has it. Few shapes are named in the query: a comparison of a
text of a dictionary costs a third of a join, and columns in which the key never lies are not read. Many are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dxray.wire.evidence import BOOL, EXACT, JSON, NONFINITE, NUMBER, TEXT

MANY = 16  # shapes of a key
PLACES = "SELECT shape_id, class, position FROM shapes WHERE project = $project AND key = $key LIMIT $most"
IN_STR = (TEXT, JSON, EXACT, NONFINITE)
_JOINED = """
LEFT JOIN (
    SELECT shape_id, position, class FROM shapes WHERE project = $project AND key = {key}
) {alias} ON {alias}.shape_id = e.shape_id
"""

Place = tuple[str, str, int]  # shape, class, position


@dataclass(frozen=True, slots=True)
class Key:
    """A key in one query: its places, or the alias of its join; and what binds values there."""

    places: Sequence[Place]
    alias: str
    bind: Callable[[Any], str]

    @classmethod
    def of(cls, key: str, places: Sequence[Place], bind: Callable[[Any], str], joins: list[str]) -> Key:
        """A key with its places, of which `MANY` are not all; then `joins` gets one."""
        if len(places) < MANY:
            return cls(places, "", bind)
        alias = f"k{len(joins)}"
        joins.append(_JOINED.format(alias=alias, key=bind(key)))
        return cls((), alias, bind)

    def numbers(self, *kinds: str) -> str:
        """The values of these classes, which lie in `num`; NULL where there is none."""
        return self._of(kinds, "num", "DOUBLE")

    def texts(self, *kinds: str) -> str:
        """The values of these classes, which lie in `str`."""
        return self._of(kinds, "str", "VARCHAR")

    def number(self, *kinds: str) -> str:
        """The values of these classes, and numbers that were kept as digits."""
        found = self.numbers(*kinds)
        return f"coalesce({found}, TRY_CAST({self.texts(EXACT)} AS DOUBLE))" if self._has(EXACT) else found

    def text(self) -> str:
        """The values that are no numbers, a boolean as `true` or `false`."""
        texts = self.texts(*(kind for kind in IN_STR if kind != EXACT))
        if not self._has(BOOL):
            return texts
        number = self.numbers(BOOL)
        truth = f"CASE WHEN {number} = 0 THEN 'false' WHEN {number} IS NOT NULL THEN 'true' END"
        return f"coalesce({truth}, {texts})"

    def any(self) -> str:
        """The values as texts, of whatever class."""
        return f"coalesce(CAST({self.numbers(NUMBER, BOOL)} AS VARCHAR), {self.texts(*IN_STR)})"

    def digits(self) -> str:
        """Whole numbers as their digits."""
        of_num = f"CAST(TRY_CAST({self.numbers(NUMBER, BOOL)} AS HUGEINT) AS VARCHAR)"
        return f"coalesce({of_num}, {self.texts(EXACT)})"

    def _has(self, kind: str) -> bool:
        return bool(self.alias) or any(one == kind for _, one, _ in self.places)

    def _of(self, kinds: Sequence[str], where: str, type_: str) -> str:
        if self.alias:
            named = ", ".join(f"'{kind}'" for kind in kinds)
            return f"CASE WHEN {self.alias}.class IN ({named}) THEN e.{where}[{self.alias}.position] END"
        cases = [
            f"WHEN {self.bind(shape)} THEN e.{where}[{position}]"
            for shape, kind, position in self.places
            if kind in kinds
        ]
        return f"CASE e.shape_id {' '.join(cases)} END" if cases else f"CAST(NULL AS {type_})"
