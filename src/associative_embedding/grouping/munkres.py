"""The assignment problem by Munkres' algorithm, with the ties broken as the Python package munkres breaks them.

Published decoders round tag distances, so that many assignments have the same sum, and the order of the search decides
which keypoint belongs to whom. Any other solver returns another of the equal solutions.
"""

from __future__ import annotations

import numpy as np

from associative_embedding.structures.arrays import Array

FAR = 1e10  # cost of a column that published decoders add where detections outnumber groups


def published_assignment(weight: Array) -> tuple[Array, Array]:
    """Chooses min(m, G) pairs of a row and a column with the greatest sum of weights, as published decoders do.

    Args:
        weight: ``(m, G)``, finite.

    Returns:
        rows and columns of the pairs, rows ascending.
    """
    rows, columns = weight.shape
    if not rows or not columns:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    cost = np.zeros((max(weight.shape), max(weight.shape)))  # missing rows cost nothing
    cost[:rows, :columns] = -weight
    cost[:rows, columns:] = FAR
    chosen = Munkres(cost).solve()[:rows]
    real = np.flatnonzero(chosen < columns)
    return real, chosen[real]


class Munkres:
    """One run of the algorithm on a square matrix of costs.

    Rows and columns of a matrix of zeros are sets of bits: the search for a zero then takes a few operations a row.

    Attributes:
        cost: ``(n, n)`` float64, reduced step by step.
        zeros: for each row, the bits of the columns whose cost is 0.
        starred, primed: for each row, the column of its starred or primed zero; -1 = none.
        star_of: for each column, the row of its starred zero; -1 = none.
        open_rows, open_columns: the rows that are not covered, and the bits of the columns that are not.
    """

    def __init__(self, cost: Array) -> None:
        self.size = len(cost)
        self.cost = cost - cost.min(axis=1, keepdims=True)
        self.starred, self.star_of = [-1] * self.size, [-1] * self.size
        self._find_zeros()
        self._uncover()

    def solve(self) -> Array:
        """Returns the column of each row, ``(n,)`` int64."""
        self._star_first_zeros()
        while self._cover_starred():
            self._augment(self._prime())
        return np.array(self.starred, dtype=np.int64)

    def _find_zeros(self) -> None:
        packed = np.packbits(self.cost == 0, axis=1, bitorder="little")
        self.zeros = [int.from_bytes(row.tobytes(), "little") for row in packed]

    def _uncover(self) -> None:
        self.open_rows = [True] * self.size
        self.open_columns = (1 << self.size) - 1
        self.primed = [-1] * self.size

    def _star(self, row: int, column: int) -> None:
        self.starred[row], self.star_of[column] = column, row

    def _star_first_zeros(self) -> None:
        """Stars, row by row, the first zero whose column has no star yet."""
        for row, zeros in enumerate(self.zeros):
            free = zeros & self.open_columns
            if free:
                self._star(row, (free & -free).bit_length() - 1)
                self.open_columns ^= free & -free

    def _cover_starred(self) -> bool:
        """Covers the columns with a star; returns whether some have none."""
        self._uncover()
        for column, row in enumerate(self.star_of):
            if row >= 0:
                self.open_columns &= ~(1 << column)
        return self.open_columns != 0

    def _prime(self) -> int:
        """Primes zeros until one has no star in its row; returns this row."""
        row = column = 0
        while True:
            row, column = self._open_zero(row, column)
            if row < 0:
                self._reduce()
                row = column = 0
                continue
            self.primed[row] = column
            star = self.starred[row]
            if star < 0:
                return row
            self.open_rows[row] = False
            self.open_columns |= 1 << star
            column = star  # the next search starts here

    def _open_zero(self, row: int, column: int) -> tuple[int, int]:
        """Returns the first row, from `row` on and round, with an uncovered zero, and of its zeros the last one, from
        `column` on and round; -1, -1 = none."""
        before = (1 << column) - 1
        for i in (*range(row, self.size), *range(row)):
            zeros = self.zeros[i] & self.open_columns if self.open_rows[i] else 0
            if zeros:
                return i, (zeros & before or zeros).bit_length() - 1
        return -1, -1

    def _reduce(self) -> None:
        """Makes a new uncovered zero: subtracts the least uncovered cost from uncovered columns, adds it to covered
        rows."""
        rows = np.array(self.open_rows)
        columns = np.array([self.open_columns >> j & 1 for j in range(self.size)], dtype=bool)
        least = self.cost[np.ix_(rows, columns)].min()
        # In this order: what is added and subtracted again may lose a bit, and a zero must not become one by accident.
        self.cost[~rows] += least
        self.cost[:, columns] -= least
        self._find_zeros()

    def _augment(self, row: int) -> None:
        """Stars the primes along the alternating path that starts at the prime of `row`, in place of its stars."""
        while row >= 0:
            column = self.primed[row]
            other = self.star_of[column]
            self._star(row, column)
            row = other
