"""Windows: rectangular parts of an image as a pair of slices, ``image[rows, columns]``."""

from __future__ import annotations

Window = tuple[slice, slice]  # rows, columns; starts and stops are stated, and inside of the image


def intersect(a: Window, b: Window) -> Window | None:
    """Returns the window of the pixels that both windows have, or None if there are none."""
    (a_rows, a_columns), (b_rows, b_columns) = a, b
    top, bottom = max(a_rows.start, b_rows.start), min(a_rows.stop, b_rows.stop)
    left, right = max(a_columns.start, b_columns.start), min(a_columns.stop, b_columns.stop)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def relative(part: Window, window: Window) -> Window:
    """Returns the window `part` in the pixels of another window, which must contain it."""
    (rows, columns), top, left = part, window[0].start, window[1].start
    return slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
