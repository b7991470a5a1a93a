"""The reference engine of inverse-distance weighting: scipy's tree and numpy, any points, float64.

It needs no compilation, so that small jobs finish sooner with it, and the compiled engines of
:mod:`geomfaf.evidence.idw_engines.kernels` and :mod:`geomfaf.evidence.idw_engines.far_field` are
held against it by property tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

TIE = 1e-9
"""Relative difference below which two distances are the same distance."""

TOUCH = 1e-6
"""Metres: a sample this near to a point is at the point, and alone decides its value."""

FAR = 1e300
"""Stands for an infinite distance. It is finite because compiled fast-math and infinity do
not mix.
"""

CHUNK = 65_536
"""Points estimated at a time: bounds the memory of the neighbour tables."""

PAIRS = 4_000_000
"""Point-sample pairs held at a time when all samples count."""


class Rule(NamedTuple):
    """Which samples count at a point, and how much.

    The meaning of each field is that of the same option of
    :func:`geomfaf.evidence.inverse_distance.idw_grid`.
    """

    neighbours: int
    """k; 0 takes every sample within the radius."""
    radius: float
    """Metres, :data:`FAR` for none."""
    power: float
    minimum: int
    """Fewer samples than this give NaN."""
    farthest: float
    """Metres; NaN where the nearest sample is farther away."""


class Estimate(NamedTuple):
    """What is known at points: values (bands, points), metres to the nearest sample, samples that
    count.
    """

    values: np.ndarray
    nearest: np.ndarray
    used: np.ndarray


class TreeSearch:
    """Estimates at points from the neighbours that a k-d tree finds.

    Parameters
    ----------
    places : ndarray
        (samples, 2), no two at one place.
    known : ndarray
        (bands, samples) without NaN.
    rule : Rule
    """

    def __init__(self, places: np.ndarray, known: np.ndarray, rule: Rule):
        self.tree = cKDTree(places)
        self.known = np.asarray(known, float)
        # With as many neighbours as samples there is nothing to search.
        self.rule = rule._replace(neighbours=0) if rule.neighbours >= len(places) else rule

    def estimate(self, targets: np.ndarray, *, own: bool = False, workers: int = -1) -> Estimate:
        """Estimate at (points, 2) targets; ``own`` says they are the places, and leaves each one
        itself out.
        """
        count = len(targets)
        result = Estimate(
            values=np.full((len(self.known), count), np.nan),
            nearest=np.full(count, np.inf),
            used=np.zeros(count, int),
        )
        # Some points at a time: their tables of neighbours are held in memory.
        size = CHUNK if self.rule.neighbours else max(1, PAIRS // self.tree.n)
        for start in range(0, count, size):
            part = np.arange(start, min(start + size, count))
            left_out = part if own else None
            for rows, distance, index in self.neighbours(targets[part], left_out, workers):
                self._weigh(part[rows], distance, index, result)
        return result

    def neighbours(
        self, targets: np.ndarray, own: np.ndarray | None, workers: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield (rows of targets, distances, samples) tables; samples that do not count are
        infinitely far.
        """
        k = self.rule.neighbours
        bound = self.rule.radius * (1 + TIE)
        if k == 0:
            yield np.arange(len(targets)), *self._everything(targets, own, bound)
            return
        # A few more than k are asked for, as ties count and a point's own sample does not.
        todo = [(np.arange(len(targets)), k + 4 + (own is not None))]
        while todo:
            pending, wanted = todo.pop()
            wanted = min(wanted, self.tree.n)
            most = max(1, PAIRS // wanted)
            if len(pending) > most:
                for first in range(0, len(pending), most):
                    todo.append((pending[first : first + most], wanted))
                continue
            # 1. The nearest samples, and how far they reach.
            distance, index = self.tree.query(
                targets[pending],
                k=range(1, wanted + 1),
                distance_upper_bound=bound,
                workers=workers,
            )
            reach = distance[:, -1].copy()
            left_out = None if own is None else own[pending]
            self.leave_out(targets[pending], distance, index, left_out)
            # 2. The k-th of those that count; what is farther does not.
            kth = np.partition(distance, k - 1, axis=1)[:, k - 1]
            limit = kth * (1 + TIE)
            # 3. Ties with the k-th may go on beyond the last sample found: those points are asked
            # again.
            again = np.isfinite(reach) & (reach <= limit) & (wanted < self.tree.n)
            distance[distance > limit[:, None]] = np.inf
            yield pending[~again], distance[~again], index[~again]
            if again.any():
                todo.append((pending[again], wanted * 4))

    def leave_out(
        self,
        targets: np.ndarray,
        distance: np.ndarray,
        index: np.ndarray,
        own: np.ndarray | None,
    ) -> None:
        """Set the distances (targets, samples) to infinity where a sample may not count at a
        target.
        """
        if own is not None:
            distance[index == own[:, None]] = np.inf

    def _everything(
        self, targets: np.ndarray, own: np.ndarray | None, bound: float
    ) -> tuple[np.ndarray, np.ndarray]:
        x, y = self.tree.data.T
        distance = np.hypot(targets[:, :1] - x, targets[:, 1:] - y)
        distance[distance > bound] = np.inf
        index = np.broadcast_to(np.arange(self.tree.n), distance.shape)
        self.leave_out(targets, distance, index, own)
        return distance, index

    def _weigh(
        self,
        points: np.ndarray,
        distance: np.ndarray,
        index: np.ndarray,
        result: Estimate,
    ) -> None:
        """Write the estimates of some points; a point without samples enough stays NaN."""
        # 1. How many count, and how near they are.
        counts = np.isfinite(distance)
        result.used[points] = counts.sum(axis=1)
        result.nearest[points] = distance.min(axis=1, initial=np.inf)
        weight = distance_weights(distance, self.rule.power)
        total = weight.sum(axis=1)
        # 2. Points without samples enough, or near enough, get no value.
        enough = result.used[points] >= max(self.rule.minimum, 1)
        enough &= result.nearest[points] <= self.rule.farthest * (1 + TIE)
        total = np.where(enough, total, np.nan)
        # 3. The weighted mean, as one product of matrices where all samples count everywhere.
        if self.rule.neighbours == 0 and len(points):
            result.values[:, points] = self.known @ weight.T / total
        else:
            values = self.known[:, np.where(counts, index, 0)]
            result.values[:, points] = np.einsum("btk,tk->bt", values, weight) / total


def distance_weights(distance: np.ndarray, power: float) -> np.ndarray:
    """Return (points, k) weights scaled to 1 at the nearest sample, so that no power overflows."""
    nearest = distance.min(axis=1, keepdims=True, initial=np.inf)
    touching = distance <= TOUCH
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (nearest / distance) ** power
    weight[~np.isfinite(distance)] = 0.0
    return np.where(nearest <= TOUCH, touching.astype(float), weight)
