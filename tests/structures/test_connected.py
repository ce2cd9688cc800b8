"""Connected parts against SciPy."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from associative_embedding.structures.connected import connected


@given(count=st.integers(1, 40), edges=st.integers(0, 60), seed=st.integers(0, 10_000))
def test_parts_are_those_of_scipy(count: int, edges: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, count, (2, edges))
    graph = coo_array((np.ones(edges), (first, second)), shape=(count, count))
    np.testing.assert_array_equal(connected(count, first, second), connected_components(graph, directed=False)[1])


def test_a_long_chain_takes_few_rounds() -> None:
    """In any order of its nodes; one round for each link would take minutes."""
    nodes = np.random.default_rng(0).permutation(100_000)
    start = time.process_time()
    assert not connected(len(nodes), nodes[:-1], nodes[1:]).any()
    assert time.process_time() - start < 60  # a slow machine takes 31 s


def test_nothing_is_connected() -> None:
    none = np.zeros(0, np.int64)
    assert connected(3, none, none).tolist() == [0, 1, 2]
    assert len(connected(0, none, none)) == 0
