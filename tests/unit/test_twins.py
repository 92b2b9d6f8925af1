"""The nearest twin by columns is the nearest twin item by item."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest

from dxray.server.reasoning.ranking import nearest_twin
from dxray.server.reasoning.twins import Mixed, nearest

Facts = dict[str, Any]

PLACES = {
    "s1": {"price": ("number", 1), "brand": ("text", 1)},
    "s2": {"rating": ("number", 1), "price": ("number", 2)},
    "s3": {"brand": ("text", 1)},
}


def event(chance: random.Random) -> tuple[str, list[Any], list[Any], Facts]:
    price = chance.choice([None, float(chance.randint(1, 9))])
    brand = chance.choice([None, "a", "b"])
    shape = chance.choice(["s1", "s2", "s3"])
    if shape == "s1":
        return shape, [price], [brand], {"price": price, "brand": brand}
    if shape == "s2":
        return shape, [3.0, price], [], {"rating": 3.0, "price": price}
    return shape, [], [brand], {"brand": brand}


@pytest.mark.parametrize("seed", range(200))
def test_columns_and_items_name_the_same_twin(seed: int) -> None:
    chance = random.Random(seed)
    rows: list[tuple[Any, ...]] = []
    accepted: dict[str, Facts] = {}
    for _ in range(chance.randint(1, 12)):
        item = f"i{chance.randint(1, 6)}"
        shape, num, texts, facts = event(chance)
        rows.append((item, shape, num, texts, None))
        accepted.setdefault(item, {}).update(facts)
    types = [pa.string(), pa.string(), pa.list_(pa.float64()), pa.list_(pa.string()), pa.string()]
    names = ["item_id", "shape_id", "num", "str", "evidence_text"]
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), types, strict=True)]
    table = pa.table(columns, names)
    own = {"price": float(chance.randint(1, 9)), "brand": chance.choice(["a", "b", None]), "rating": 2.5}
    one = nearest_twin(own, accepted)
    assert nearest(own, table, PLACES) == (None if one is None else (one.item_id, one.distance))


def test_what_is_not_plain_is_left_to_the_other() -> None:
    table = pa.table(
        {
            "item_id": ["a"],
            "shape_id": ["s1"],
            "num": [[1.0]],
            "str": [["x"]],
            "evidence_text": pa.array([None], pa.string()),
        }
    )
    for own in ({"price": True}, {"price": [1]}, {"price": 1e301}):
        with pytest.raises(Mixed):
            nearest(own, table, PLACES)
    with pytest.raises(Mixed):
        nearest({"price": 1.0}, table, {"s1": {"price": ("bool", 1)}})
