"""A trained model, its stack and targets go in; what each factor adds to each target comes out.

What the model says of the ground is asked once, in :func:`occluded_scores`: targets may be outlined
otherwise, and nothing is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import ndimage

from ..models.predict import Lattice
from ..progress import track
from ..rasters.bands import Band, bands_of, valid_cells
from .fold_judges import FoldJudges, Ground, windows_at

CENTRES = 1200
"""Windows on all ground that may be a target; on a large map every second or fourth of the map's
own, so that the factors cost less than the map did.
"""

CONTRIBUTION_COLUMNS = ("number", "factor", "value", "percentile", "contribution")


@dataclass(frozen=True)
class OccludedScores:
    """Scores of window centres as the map has them, and with one factor after the other at its
    median.

    Attributes
    ----------
    stride : int
        Cells between the centres.
    rows, cols : (centres,) ndarray
        Their cells.
    factors : tuple of str
        Bands.
    scores : (1 + factors, centres) ndarray
        The score as it is, then without each factor.
    """

    stride: int
    rows: np.ndarray
    cols: np.ndarray
    factors: tuple[str, ...]
    scores: np.ndarray

    def covers(self, stack: xr.DataArray, cells: np.ndarray) -> bool:
        """Return whether every centre is there that the scores of some cells are blended from."""
        lattice = Lattice(valid_cells(stack), self.stride)
        needed = lattice.near(cells) & lattice.wanted
        return not (needed & ~self._there(lattice)).any()

    def blended(self, stack: xr.DataArray) -> Iterator[np.ndarray]:
        """Give the map of the score as it is, then without each factor, (y, x) each; NaN where no
        centre is near.
        """
        lattice = Lattice(valid_cells(stack), self.stride)
        there = self._there(lattice)
        for scores in self.scores:
            centres = np.full(there.shape, np.nan)
            centres[there] = scores
            yield lattice.blend(centres)

    def table(self) -> pd.DataFrame:
        """Return all of it but the stride: a row a centre."""
        places = {"row": self.rows, "col": self.cols, "score": self.scores[0]}
        without = pd.DataFrame(self.scores[1:].T, columns=list(self.factors))
        return pd.concat([pd.DataFrame(places), without], axis=1)

    @classmethod
    def from_table(cls, table: pd.DataFrame, stride: int) -> OccludedScores:
        """Return what :meth:`table` was made of."""
        rows, cols, *scores = table.to_numpy().T
        factors = tuple(map(str, table.columns[3:]))
        return cls(stride, rows.astype(int), cols.astype(int), factors, np.array(scores))

    def _there(self, lattice: Lattice) -> np.ndarray:
        """Return which points of a lattice are centres, (lattice rows, lattice columns) bool."""
        there = np.zeros((len(lattice.rows), len(lattice.cols)), bool)
        down = np.searchsorted(lattice.rows, self.rows)
        across = np.searchsorted(lattice.cols, self.cols)
        there[down, across] = True
        return there


def occluded_scores(judges: FoldJudges, stack: xr.DataArray, cells: np.ndarray) -> OccludedScores:
    """Return the scores of ground as they are and with one factor after the other at its median.

    The model itself judges both, so they are exact, at up to :data:`CENTRES` of the places that the
    map was made from.

    Parameters
    ----------
    cells : ndarray
        (y, x) bool, the ground that is asked about.
    """
    # 1. The centres whose windows the score on the ground is blended from.
    lattice = Lattice(valid_cells(stack), judges.stride)
    wanted = lattice.near(cells) & lattice.wanted
    # On a large map every second or fourth of them, as long as windows still overlap.
    while wanted.sum() > CENTRES and lattice.stride < judges.size:
        lattice = Lattice(valid_cells(stack), 2 * lattice.stride)
        wanted = lattice.near(cells) & lattice.wanted
    down, across = np.nonzero(wanted)
    names = tuple(map(str, stack["band"].values))
    scores = np.empty((1 + len(names), len(down)))
    # 2. What the model says of them, with one factor after the other at its median.
    if len(down):
        ground = Ground.of(stack, windows_at(lattice, wanted, judges.size))
        scores[0] = judges.mean(ground)
        for number, name in enumerate(track(names, "factors on the best ground", unit="factors")):
            scores[number + 1] = judges.mean(ground.without(name))
    return OccludedScores(lattice.stride, lattice.rows[down], lattice.cols[across], names, scores)


def target_contributions(
    occluded: OccludedScores, stack: xr.DataArray, labels: np.ndarray
) -> pd.DataFrame:
    """Return what each factor adds to or takes from the mean score of each target, by occlusion.

    The contribution is the mean score on the target minus what it would be with the factor at the
    area's median, for one factor at a time: those of several need not add up to the score.

    Parameters
    ----------
    labels : ndarray
        (y, x) int, the number of the target that holds each cell.

    Returns
    -------
    DataFrame
        number, factor (band), value (mean of the band on the target, NaN for classes), percentile
        (mean of those that its cells have in the area), contribution (in units of the score).
    """
    count = int(labels.max())
    numbers = np.arange(1, count + 1)
    if not count:
        return pd.DataFrame(columns=list(CONTRIBUTION_COLUMNS))
    # 1. The mean score on each target, as it is and without each factor.
    before, *after = [_means(layer, labels, numbers) for layer in occluded.blended(stack)]
    # 2. One part a factor.
    parts = []
    for band, without in zip(bands_of(stack), after, strict=True):
        value, percentile = _on_targets(stack, band, labels, numbers)
        part = {
            "number": numbers,
            "factor": band.name,
            "value": value,
            "percentile": percentile,
            "contribution": before - without,
        }
        parts.append(pd.DataFrame(part))
    # 3. The largest first.
    table = pd.concat(parts, ignore_index=True)
    table["size"] = -table["contribution"].abs()
    table = table.sort_values(["number", "size"], kind="stable", ignore_index=True)
    return table[list(CONTRIBUTION_COLUMNS)]


def _means(layer: np.ndarray, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the mean of a layer on each target; gaps belong to none."""
    on_known = np.where(np.isfinite(layer), labels, 0)
    return np.asarray(ndimage.mean(np.nan_to_num(layer), on_known, numbers), float)


def _on_targets(
    stack: xr.DataArray,
    band: Band,
    labels: np.ndarray,
    numbers: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean value and mean percentile of a band on each target."""
    if band.kind == "class":
        missing = np.full(len(numbers), np.nan)
        return missing, missing
    layer = stack.sel(band=band.name).values
    percentiles = percentiles_on(layer, labels > 0)
    return _means(layer, labels, numbers), _means(percentiles, labels, numbers)


def percentiles_on(layer: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return, for some cells, the percentile that their value has among all; NaN elsewhere and
    where there is no value. Ties count half, so that all percentiles have a mean of 50.

    >>> percentiles_on(np.array([3.0, 1.0, 3.0, np.nan]), np.array([True, True, False, True]))
    array([66.66666667, 16.66666667,         nan,         nan])
    """
    found = np.full(layer.shape, np.nan)
    values = np.sort(layer[np.isfinite(layer)])
    found[cells] = percentiles_among(values, layer[cells])
    return found


def percentiles_among(ground: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the percentile that each asked value has among those of the ground, NaN for gaps; ties
    count half.

    Parameters
    ----------
    ground : ndarray
        Values without gaps, ascending.
    asked : (values,) ndarray

    Examples
    --------
    >>> percentiles_among(np.array([1.0, 3.0, 3.0]), np.array([3.0, np.nan, 1.0]))
    array([66.66666667,         nan, 16.66666667])
    """
    found = np.full(len(asked), np.nan)
    # Neighbours of a sorted list are found close together: a search for few cells, no ranking of all.
    order = np.argsort(asked)
    order = order[: np.count_nonzero(np.isfinite(asked))]
    values = asked[order]
    # In the middle of those that are as high.
    below = np.searchsorted(ground, values, "left")
    not_above = np.searchsorted(ground, values, "right")
    found[order] = 100 * ((below + not_above) / 2) / max(1, len(ground))
    return found
