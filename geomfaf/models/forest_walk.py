"""A fitted forest and rows go in; the share of ore in the rows' leaves comes out, by compiled code.

scikit-learn walks one tree at a time, a call each, and its threads add the trees in any order: the
last bits differ from call to call. Here threads share the rows, and each row adds its trees in
their order. No step asks whether a row has arrived, so that the processor need not guess: a leaf
leads to itself, and all rows go as many steps as the tree is deep.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from ..rasters.blocks import cores

TOGETHER = 64
"""Rows that go through a tree side by side: its nodes stay in the cache."""


@dataclass(frozen=True)
class FlatForest:
    """All trees of a forest in one table of nodes.

    Attributes
    ----------
    roots, depths : (trees,) ndarray
        Where each tree begins, and its steps from the root to the farthest leaf.
    column : (nodes,) ndarray
        What is compared with the threshold.
    threshold : (nodes,) float32 ndarray
        Rows above it go right.
    following : (2 * nodes,) ndarray
        The node to the left and the one to the right of each; a leaf itself.
    ore : (nodes,) ndarray
        The share of ore in the node.
    """

    roots: np.ndarray
    depths: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    following: np.ndarray
    ore: np.ndarray

    def ore_share(self, matrix: np.ndarray) -> np.ndarray:
        """Return the mean share of ore in the leaves of each row, (rows,) float64."""
        rows = np.ascontiguousarray(matrix, np.float32)
        # A share of the rows a processor: a row's sum does not depend on who makes it.
        nodes = (self.roots, self.depths, self.column, self.threshold, self.following, self.ore)
        with ThreadPoolExecutor(cores()) as pool:
            parts = pool.map(lambda part: _walk(part, *nodes), np.array_split(rows, cores()))
            return np.concatenate(list(parts))


def flat_forest(forest: Any) -> FlatForest:
    """Return the trees of a fitted forest of scikit-learn as one table: of two classes, or of
    regression trees on 0 and 1.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    counts = np.array([tree.node_count for tree in trees])
    roots = np.cumsum(counts) - counts
    # 1. where to go: a tree numbers its nodes from its own root
    sides = [np.stack([tree.children_left, tree.children_right], axis=1) for tree in trees]
    following = np.concatenate(sides) + np.repeat(roots, counts)[:, None]
    leaf = np.concatenate([tree.children_left for tree in trees]) < 0
    following[leaf] = np.flatnonzero(leaf)[:, None]
    # 2. what is asked: a float32 is above a float64 when it is above the float32 next below it
    exact = np.concatenate([tree.threshold for tree in trees])
    threshold = exact.astype(np.float32)
    threshold = np.where(threshold > exact, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    column = np.concatenate([tree.feature for tree in trees])
    # 3. what is answered: the last class is ore; a regression tree has one value, its mean
    return FlatForest(
        roots.astype(np.int32),
        np.array([tree.max_depth for tree in trees], np.int32),
        np.where(leaf, 0, column).astype(np.int32),
        threshold,
        following.astype(np.int32).ravel(),
        np.concatenate([tree.value[:, 0, -1] for tree in trees]),
    )


@numba.njit(cache=True, nogil=True)
def _walk(
    rows: np.ndarray,
    roots: np.ndarray,
    depths: np.ndarray,
    column: np.ndarray,
    threshold: np.ndarray,
    following: np.ndarray,
    ore: np.ndarray,
) -> np.ndarray:
    """Return the mean share of ore in the leaves of each row, (rows,) float64."""
    total = np.zeros(len(rows))
    at = np.zeros(TOGETHER, np.int32)
    for first in range(0, len(rows), TOGETHER):
        count = min(TOGETHER, len(rows) - first)
        # Tree after tree in their order, so that the sums have the same last bit each time.
        for tree in range(len(roots)):
            at[:] = roots[tree]
            # All rows take as many steps as the deepest needs; who is in a leaf stays there.
            for _ in range(depths[tree]):
                for row in range(count):
                    node = at[row]
                    right = rows[first + row, column[node]] > threshold[node]
                    at[row] = following[2 * node + right]
            for row in range(count):
                total[first + row] += ore[at[row]]
    return total / len(roots)
