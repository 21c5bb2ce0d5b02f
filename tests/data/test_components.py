"""Connected components, beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from headstart.data.components import components


@pytest.mark.parametrize(("nodes", "edges"), [(0, 0), (7, 0), (40, 30), (2000, 900), (2000, 2500), (300, 20_000)])
def test_components_are_those_of_scipy(nodes: int, edges: int) -> None:
    rng = np.random.default_rng(edges)
    ends = rng.integers(0, max(1, nodes), (edges, 2))
    graph = coo_array((np.ones(edges, bool), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    expected = connected_components(graph, directed=False)[1] if nodes else np.empty(0, np.int32)
    lowest = [int(np.flatnonzero(expected == each)[0]) for each in expected]
    assert components(ends, nodes).tolist() == lowest


def test_a_chain_in_any_order_is_one_component() -> None:
    order = np.random.default_rng(0).permutation(5000)
    chain = np.stack([order[:-1], order[1:]], axis=1)
    assert not components(np.random.default_rng(1).permutation(chain), 5000).any()
