"""Element values of samples go in; features that geochemists draw from them come out as bands.

Each is computed at the samples, from samples alone, and interpolated by inverse distances. They are
asked for by name and off by default: none was measured to pay on new ground.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import geopandas as gpd
import numpy as np
from scipy.spatial import cKDTree

from ..errors import DataError, UsageError, nearest_name, require_known
from ..rasters.bands import Band
from ..rasters.grid import Grid
from ..survey.survey import Survey
from .inverse_distance import plan_grid, prepare, sample_values
from .layers import SCREENED

FEATURES = ("bandpass", "singularity", "pca", "ratio")
"""``bandpass:500-4000`` and ``singularity:500-4000`` (metres, one band an element), ``pca:3``,
``ratio:Au_ppb/Cu_ppm``.
"""

RADII = 6
"""Radii, evenly spaced on a logarithmic scale, of a singularity index."""

REACH = 3.0
"""Standard deviations beyond which a Gaussian weight is left out."""


class GeochemistryLayer:
    """Features of the elements of a survey, ready to be interpolated for any window.

    Parameters
    ----------
    survey : Survey
    elements : sequence of str
        Columns that the features are made of.
    grid : Grid
    names : sequence of str
        See :data:`FEATURES`.
    """

    def __init__(
        self,
        survey: Survey,
        elements: Sequence[str],
        grid: Grid,
        names: Sequence[str],
    ):
        grid.require_crs(survey.samples.crs, "samples")
        xy, logs = sample_values(survey.samples, elements, "log")
        found: dict[str, np.ndarray] = {}
        self.bands: list[Band] = []
        for text in names:
            word, _, argument = text.partition(":")
            require_known(word, FEATURES, "geochemical feature")
            for label, values in _FEATURES[word](xy, logs, list(elements), argument).items():
                name = re.sub(r"\W+", "_", label)
                found[name] = values
                self.bands.append(Band(name, "continuous", "", label))
        layer = gpd.GeoDataFrame(found, geometry=gpd.points_from_xy(*xy.T), crs=grid.crs)
        self.plan, _ = plan_grid(layer, list(found), grid)
        prepare(self.plan)
        self.making = [dict(SCREENED) for _ in self.bands]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (features, height, width)."""
        return self.plan.block(row, column, height, width)

    def fingerprint(self) -> str:
        """Return a hash of samples and features."""
        return self.plan.fingerprint()


def bandpass(
    xy: np.ndarray,
    logs: np.ndarray,
    fine: float,
    coarse: float,
) -> np.ndarray:
    """Return the difference of two Gaussian means of the logarithm around each sample.

    What varies over less than ``fine`` is noise, what varies over more than ``coarse`` background.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) metres.
    logs : ndarray
        (samples,), NaN where missing.
    fine, coarse : float
        Standard deviations of the weights, metres.
    """
    # Each element by the samples that were analysed for it.
    known = np.isfinite(logs)
    result = np.full(len(logs), np.nan)
    tree = cKDTree(xy[known])
    values = logs[known]
    means = np.empty((2, len(values)))
    for number, sigma in enumerate((fine, coarse)):
        for sample, near in enumerate(tree.query_ball_point(xy[known], REACH * sigma)):
            # In the order of the samples, so that sums do not depend on the tree's.
            index = np.array(sorted(near))
            apart = np.hypot(*(xy[known][index] - xy[known][sample]).T)
            weight = np.exp(-0.5 * (apart / sigma) ** 2)
            means[number, sample] = (weight * values[index]).sum() / weight.sum()
    # The fine mean less the coarse one: what is left varies between the two widths.
    result[known] = means[0] - means[1]
    return result


def singularity(
    xy: np.ndarray,
    logs: np.ndarray,
    fine: float,
    coarse: float,
) -> np.ndarray:
    """Return the local singularity index less 2 (Cheng 2007, doi 10.1016/j.oregeorev.2006.10.002).

    With C(r) the mean value within r of a place, ``C(r) ~ r ** (alpha - 2)``: the slope of log C
    against log r. It is negative where values rise towards the place: enriched ground.

    Parameters
    ----------
    fine, coarse : float
        Smallest and largest radius, metres.
    """
    known = np.isfinite(logs)
    result = np.full(len(logs), np.nan)
    tree = cKDTree(xy[known])
    values = 10 ** logs[known]
    radii = np.geomspace(fine, coarse, RADII)
    # 1. The mean within every radius; the sample itself is always within it.
    means = np.empty((RADII, len(values)))
    for number, radius in enumerate(radii):
        for sample, near in enumerate(tree.query_ball_point(xy[known], radius)):
            means[number, sample] = values[sorted(near)].mean()
    # 2. The slope of its logarithm, by least squares.
    x = np.log10(radii) - np.log10(radii).mean()
    result[known] = (x[:, None] * np.log10(means)).sum(axis=0) / (x**2).sum()
    return result


def robust_components(logs: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and loadings of the first robust principal components of centred log-ratios.

    Covariance and centre are those of half of the samples that lie closest together (minimum
    covariance determinant, Rousseeuw and Van Driessen 1999), on isometric log-ratios, whose
    covariance has full rank (Filzmoser et al. 2009, doi 10.1002/env.966).

    Parameters
    ----------
    logs : ndarray
        (elements, samples) log10, NaN where missing.

    Returns
    -------
    scores : ndarray
        (count, samples), NaN where an element is missing.
    loadings : ndarray
        (count, elements), of the centred log-ratios; the largest of each is positive.
    """
    from sklearn.covariance import MinCovDet

    parts = len(logs)
    known = np.isfinite(logs).all(axis=0)
    if parts < 3 or known.sum() < 5 * parts:
        raise DataError(
            f"principal components need 3 elements and 5 samples an element without gaps: there are"
            f" {parts} and {int(known.sum())}."
        )
    # 1. Isometric log-ratios: the orthonormal contrasts of each element with those before it.
    contrasts = np.zeros((parts - 1, parts))
    for row in range(1, parts):
        contrasts[row - 1, :row] = 1 / row
        contrasts[row - 1, row] = -1
        contrasts[row - 1] *= np.sqrt(row / (row + 1))
    ilr = (contrasts @ logs[:, known]).T
    # 2. Axes of the robust covariance, largest first, back among the elements.
    fit = MinCovDet(random_state=0).fit(ilr)
    _, axes = np.linalg.eigh(fit.covariance_)
    axes = axes[:, ::-1][:, :count].T
    loadings = axes @ contrasts
    # An axis has two directions: the one in which its largest loading is positive.
    sign = np.sign(loadings[np.arange(len(loadings)), np.abs(loadings).argmax(axis=1)])
    # 3. Scores of every sample without gaps.
    scores = np.full((len(axes), logs.shape[1]), np.nan)
    scores[:, known] = sign[:, None] * (axes @ (ilr - fit.location_).T)
    return scores, sign[:, None] * loadings


def _bandpass(
    xy,
    logs,
    elements,
    argument,
) -> dict[str, np.ndarray]:
    fine, coarse = _two_metres("bandpass", argument)
    found = {}
    for name, own in zip(elements, logs, strict=True):
        found[f"{name} bandpass {fine:g}-{coarse:g} m"] = bandpass(xy, own, fine, coarse)
    return found


def _singularity(
    xy,
    logs,
    elements,
    argument,
) -> dict[str, np.ndarray]:
    fine, coarse = _two_metres("singularity", argument)
    found = {}
    for name, own in zip(elements, logs, strict=True):
        found[f"{name} singularity {fine:g}-{coarse:g} m"] = singularity(xy, own, fine, coarse)
    return found


def _pca(
    xy,
    logs,
    elements,
    argument,
) -> dict[str, np.ndarray]:
    count = int(argument) if argument.isdigit() and int(argument) > 0 else 0
    if not count:
        raise UsageError(f'"pca:{argument}" does not say how many components: write pca:3.')
    scores, _ = robust_components(logs, count)
    return {f"component {number}": own for number, own in enumerate(scores, start=1)}


def _ratio(
    xy,
    logs,
    elements,
    argument,
) -> dict[str, np.ndarray]:
    # "ratio:Cu/Zn": the first over the second.
    above, _, below = argument.partition("/")
    for name in (above, below):
        if name not in elements:
            raise UsageError(
                f'"ratio:{argument}": "{name}" is no element.{nearest_name(name, elements)}'
            )
    # The logarithm of a ratio is a difference.
    own = logs[elements.index(above)] - logs[elements.index(below)]
    return {f"log10 {above} over {below}": own}


def _two_metres(name: str, argument: str) -> tuple[float, float]:
    try:
        fine, coarse = map(float, argument.split("-"))
    except ValueError:
        fine = coarse = 0.0
    if not 0 < fine < coarse:
        raise UsageError(
            f'"{name}:{argument}" is no pair of metres, the smaller first: write {name}:500-4000.'
        )
    return fine, coarse


_FEATURES = {
    "bandpass": _bandpass,
    "singularity": _singularity,
    "pca": _pca,
    "ratio": _ratio,
}
