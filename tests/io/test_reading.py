"""What is read of an image: wrong choices get one line."""

from __future__ import annotations

from typing import Any

import pytest

from associative_embedding.io.reading import Range, Reading


@pytest.mark.parametrize(
    ("page", "places"),
    [(3, {"any": 2}), ("3", {"any": 2}), ("z3", {"z": 2}), ("T2", {"t": 1}), ("t2z3", {"t": 1, "z": 2}), ("all", {})],
)
def test_pages(page: Any, places: dict[str, int]) -> None:
    assert Reading(page=page).places == places


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (None, None),
        ("none", None),
        ("percentiles", Range(1, 99.8, True)),
        ("100:4000", Range(100, 4000, False)),
        ("-0.5 : 1e4", Range(-0.5, 10000, False)),
        ("0.1%:99.9%", Range(0.1, 99.9, True)),
    ],
)
def test_ranges(how: str | None, expected: Range | None) -> None:
    assert Reading(normalize=how).range == expected


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"page": "0"}, "page must be a number from 1"),
        ({"page": "y3"}, "page must be a number from 1"),
        ({"page": ""}, "page must be a number from 1"),
        ({"page": "all", "project": "max"}, "give only one"),
        ({"project": "sum"}, "project must be max or mean"),
        ({"channel": 0}, "channels count from 1"),
        ({"channel": "-1"}, "channels count from 1"),
        ({"axes": "zyq"}, "axes must be some of the letters tzcyxs"),
        ({"axes": "zyy"}, "axes must be some of"),
        ({"axes": "zc"}, "with y and x"),
        ({"level": -1}, "level must be 0 or more"),
        ({"normalize": "loud"}, "normalize must be auto, percentiles, none, or LOW:HIGH"),
        ({"normalize": "5:1"}, "LOW below HIGH"),
        ({"normalize": "5%:101%"}, "percentiles within 0 to 100"),
        ({"normalize": "5%:101"}, "normalize must be auto"),
        ({"normalize": "nan:1"}, "normalize must be auto"),
    ],
)
def test_wrong_values(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Reading(**values)
