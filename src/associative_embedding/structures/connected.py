"""The connected parts of a graph."""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array


def connected(count: int, first: Array, second: Array) -> Array:
    """Returns the number of the connected part of each node, ``(count,)`` int64, in the order of their first nodes.

    SciPy has the same, but its import takes as long as the people of a photo.

    Args:
        count: of nodes.
        first, second: ``(E,)`` the nodes at the ends of each edge.
    """
    part, before = np.arange(count), None
    while before is None or (part != before).any():
        before = part.copy()
        lowest = np.minimum(part[first], part[second])
        np.minimum.at(part, first, lowest)
        np.minimum.at(part, second, lowest)
        part = part[part]  # a node's part is a node of it: so long chains take few rounds
    return np.unique(part, return_inverse=True)[1].reshape(-1)
