"""The table of peaks, which every search fills, and the formulas that all searches share.

A row is a peak. The columns are channel, y, x (whole pixels), score, sub-pixel x, sub-pixel y, and D tag values.
The formulas use only operators and methods that numpy arrays and torch tensors have in common.
"""

from __future__ import annotations

from associative_embedding.structures.map_values import Values

CHANNEL, Y, X, SCORE, SUBPIXEL, TAG = 0, 1, 2, 3, slice(4, 6), slice(6, None)
COLUMNS = 6  # in front of the tag

LEAST = 1e-6  # lowest heatmap value whose logarithm is taken, and lowest curvature that has a top


def unflatten(index: Values, size: tuple[int, ...]) -> tuple[Values, Values, Values]:
    """Returns channel, y and x of flat indices of a ``(C, h, w)`` map."""
    # Multiplications in place of %: integer division is the slowest operation here, and this needs two, not four.
    row = index // size[2]
    channel = row // size[1]
    return channel, row - channel * size[1], index - row * size[2]


def top_of_parabola(low: Values, middle: Values, high: Values, shift: Values) -> Values:
    """Returns how far a peak lies from its pixel, along one axis: the top of the parabola through three logarithms.

    Exact for a sampled Gaussian, whose logarithm is a parabola. Published code moves a quarter pixel towards the higher
    neighbour instead.

    Args:
        low, middle, high: logarithms of the heatmap at three pixels in a row.
        shift: pixels from the peak to the middle one: 0, or 1 and -1 at the map's border, where the three pixels lie to
            one side of the peak.

    Returns:
        pixels, in [-0.5, 0.5]; 0 where the three logarithms are not concave, as on a plateau or a slope.
    """
    curvature = 2 * middle - low - high
    move = shift + (high - low) / (2 * curvature.clip(LEAST))
    return move.clip(-0.5, 0.5) * (curvature > LEAST)  # a product, as numpy and torch have no common `where`
