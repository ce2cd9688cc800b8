"""Windows agree with the pixels that they select."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from associative_embedding.structures.windows import Window, intersect, relative

sides = st.tuples(st.integers(0, 8), st.integers(1, 4)).map(lambda pair: slice(pair[0], pair[0] + pair[1]))
windows = st.tuples(sides, sides)


def pixels(window: Window) -> set[tuple[int, int]]:
    image = np.zeros((12, 12), bool)
    image[window] = True
    return set(map(tuple, np.argwhere(image).tolist()))


@given(a=windows, b=windows)
def test_an_intersection_has_the_pixels_of_both(a: Window, b: Window) -> None:
    shared = intersect(a, b)
    assert (pixels(shared) if shared else set()) == pixels(a) & pixels(b)
    if shared:
        image = np.arange(144).reshape(12, 12)
        assert np.array_equal(image[a][relative(shared, a)], image[shared])
