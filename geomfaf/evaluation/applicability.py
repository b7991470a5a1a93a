r"""Area of applicability: which ground is unlike all that the model has learned from.

The dissimilarity index of a place is its distance to the nearest training place in the space of the
predictors, over the mean distance of the training places to each other,

.. math:: DI = \min_i d(x, x_i) \,/\, \bar d

after the predictors are standardised on the training places and weighted by their importance. The
threshold is the largest index that a training place has to the places of *other* folds, outliers
left out: beyond it the cross-validated figures say nothing (Meyer and Pebesma 2021, doi
10.1111/2041-210X.13650).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import xarray as xr
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ..errors import DataError, UsageError, nearest_name
from ..rasters.bands import Band, as_dataarray, valid_cells
from ..rasters.blocks import block_windows, fill_blocks
from ..rasters.reader import RasterReader
from ..rasters.stream import stream_raster
from ..windows.features import Column, Features, window_features
from ..windows.folds import NO_FOLD
from ..windows.windows import window_centres

if TYPE_CHECKING:  # it needs torch
    from ..models.fold_models import Model

APPLICABILITY_BANDS = (
    Band("dissimilarity", "score", "", "Dissimilarity index (0 = like a training place)"),
    Band("applicable", "score", "", "Area of applicability (1 = inside, 0 = extrapolated)"),
)

STEP = 50_000
"""Places whose predictors are held as float64 at once."""


@dataclass(frozen=True)
class Applicability:
    """What is learned from the training places, see :func:`fit_applicability`.

    Attributes
    ----------
    columns : tuple of Column
        The predictors.
    centre, spread, weight, fill : ndarray
        (predictors,) mean and standard deviation of the training places, importance, and what
        stands for a gap.
    tree : cKDTree
        The training places in the space of the weighted predictors.
    mean_distance : float
        Mean distance of all pairs of training places.
    training : ndarray
        (training places,) index of each to the nearest place of another fold.
    threshold : float
        Largest of them that is no outlier (above the third quartile + 1.5 interquartile ranges).
    """

    columns: tuple[Column, ...]
    centre: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    fill: np.ndarray
    tree: cKDTree
    mean_distance: float
    training: np.ndarray
    threshold: float

    def dissimilarity(self, features: Features) -> np.ndarray:
        """Return the dissimilarity index of places, (places,) float64."""
        if features.columns != self.columns:
            raise DataError(
                "the features have other columns than the training places: take them from the same"
                " stack."
            )
        index = np.empty(len(features))
        for first in range(0, len(features), STEP):
            at = slice(first, first + STEP)
            space = _space(features.values[at], self.centre, self.spread, self.weight, self.fill)
            index[at] = self.tree.query(space, workers=-1)[0] / self.mean_distance
        return index

    def inside(self, index: np.ndarray) -> np.ndarray:
        """Return which indices are within the area of applicability, bool."""
        return index <= self.threshold


def fit_applicability(
    features: Features, folds: np.ndarray, *, importance: Mapping[str, float] | None = None
) -> Applicability:
    """Learn the space of the training places and its threshold.

    Parameters
    ----------
    features : Features
        The training places, ore and barren; take the same columns for the places to judge. A gap
        counts as the column's training median, which is what the models read there.
    folds : (places,) ndarray
        The fold that tests each place.
    importance : mapping, optional
        Band -> weight of its columns, 0 or more; all bands weigh the same when omitted.

    Raises
    ------
    DataError
        When there are fewer than two folds or no column varies.
    """
    folds = np.asarray(folds)
    if len(folds) != len(features) or len(np.unique(folds)) < 2:
        raise DataError(
            f"{len(features)} training places in {len(np.unique(folds))} folds: the threshold of"
            " the area of applicability needs a fold for each place, and two folds or more."
        )
    # 1. how much each column counts
    weight = _column_weights(features, importance or {})
    # 2. gaps take the median, as in the models; columns that do not vary take no part
    known = np.isfinite(features.values)
    fill = _medians(features.values, known)
    filled = np.where(known, features.values.astype(float), fill)
    centre = filled.mean(axis=0)
    spread = filled.std(axis=0, ddof=1)
    # A spread below a millionth is the rounding of float32 bands.
    varies = spread > 1e-6 * np.maximum(1.0, np.abs(centre))
    weight = np.where(varies, weight, 0.0)
    spread = np.where(varies, spread, 1.0)
    if not weight.any():
        raise DataError(
            "no predictor varies over the training places: no ground is like or unlike them."
        )
    # 3. distances between training places, and from each to those of other folds
    space = _space(features.values, centre, spread, weight, fill)
    mean_distance = _mean_distance(space)
    training = np.empty(len(space))
    for fold in np.unique(folds):
        own = folds == fold
        training[own] = cKDTree(space[~own]).query(space[own])[0] / mean_distance
    # 4. the largest that is no outlier
    low, high = np.quantile(training, [0.25, 0.75])
    threshold = float(training[training <= high + 1.5 * (high - low)].max())
    tree = cKDTree(space)
    return Applicability(
        features.columns,
        centre,
        spread,
        weight,
        fill,
        tree,
        mean_distance,
        training,
        threshold,
    )


def _column_weights(features: Features, importance: Mapping[str, float]) -> np.ndarray:
    """Return the weight of each column: that of its band, 1 where none is named."""
    weight = np.ones(len(features.columns))
    for name, value in importance.items():
        if name not in features.bands:
            raise UsageError(
                f'importance: there is no band "{name}".{nearest_name(name, features.bands)}'
            )
        if not (np.isfinite(value) and value >= 0):
            raise UsageError(
                f'importance of band "{name}" is {value}, it must be a number of 0 or more.'
            )
        weight[[column.band == name for column in features.columns]] = value
    return weight


def _medians(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the median of the known values of each column, 0 for one that has none."""
    medians = np.zeros(values.shape[1])
    for number, (column, has_value) in enumerate(zip(values.T, known.T, strict=True)):
        if has_value.any():
            medians[number] = np.median(column[has_value])
    return medians


def area_of_applicability(
    stack: xr.DataArray,
    rows: np.ndarray,
    cols: np.ndarray,
    folds: np.ndarray,
    *,
    importance: Mapping[str, float] | None = None,
) -> tuple[xr.DataArray, Applicability]:
    """Map the dissimilarity of every valid cell to the training cells.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`; leave out bands that the model does not use.
    rows, cols, folds : (places,) ndarray
        Training cells (the centres of the training windows) and the fold that tests each.
    importance : mapping, optional
        Band -> weight, see :func:`fit_applicability`.

    Returns
    -------
    DataArray, Applicability
        float32 (band, y, x) with ``dissimilarity`` and ``applicable`` (1 or 0), NaN off the valid
        ground, and what was learned, with the threshold.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> import numpy as np
    >>> area, fitted = gm.area_of_applicability(
    ...     stack, windows["row"] + 4, windows["col"] + 4, folds.of_windows(windows))
    >>> area["band"].values.tolist()
    ['dissimilarity', 'applicable']
    """
    plan = AreaPlan(RasterReader(stack), rows, cols, folds, importance=importance)
    layers = fill_blocks(plan.block, plan.grid, len(plan.bands), "applicability")
    return as_dataarray(layers, plan.grid, plan.bands), plan.fitted


def area_to_file(  # noqa: PLR0913  (choices of the file)
    stack: xr.DataArray | str | Path | RasterReader,
    rows: np.ndarray,
    cols: np.ndarray,
    folds: np.ndarray,
    path: str | Path,
    *,
    importance: Mapping[str, float] | None = None,
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
) -> tuple[Path, Applicability]:
    """Map the dissimilarity of a stack of any size into a GeoTIFF or Zarr store, block by block.

    The numbers are those of :func:`area_of_applicability` to the bit. The threshold is exact, too:
    it is one of the training places alone, which are few.

    Parameters
    ----------
    stack : DataArray, path or RasterReader
        A stack that is given by its file is read block by block.
    rows, cols, folds, importance
        See :func:`area_of_applicability`.
    path, cog, scheduler
        See :func:`geomfaf.idw_to_file`.
    """
    plan = AreaPlan(RasterReader.of(stack), rows, cols, folds, importance=importance)
    made = stream_raster(
        path,
        plan.grid,
        plan.bands,
        plan.block,
        job=plan.fingerprint(),
        overwrite=overwrite,
        cog=cog,
        scheduler=scheduler,
    )
    return made, plan.fitted


def trained_places(
    model: Model, windows: gpd.GeoDataFrame
) -> tuple[set[str], tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the bands that a model looks at, and the cells and folds of the places that trained
    any of its fold models.
    """
    used = {name for fold_model in model.fold_models for name in fold_model.bands}
    trained = windows.drop_duplicates(["row", "col"])
    trained = trained[trained["trains"] != NO_FOLD] if "trains" in trained else trained
    return used, window_centres(trained, model.folds.grid), model.folds.of_windows(trained)


def model_area_to_file(
    model: Model,
    stack: str | Path,
    windows: gpd.GeoDataFrame,
    path: str | Path,
    **output: Any,
) -> tuple[Path, str]:
    """Map the ground that a model speaks for into a file, block by block; return the file and a
    sentence on how much of the ground is unlike all that trained it.

    Parameters
    ----------
    windows : GeoDataFrame
        The labelled windows that trained the model.
    output
        ``overwrite``, ``cog`` and ``scheduler`` of :func:`area_to_file`.
    """
    source = RasterReader(stack)
    model.folds.grid.require_same(source.grid, "the stack")
    model.require_stack(source.bands, source.grid)
    used, at, folds = trained_places(model, windows)
    made, fitted = area_to_file(source.only(used), *at, folds, path, **output)
    # The mean of what was written, block by block.
    area = RasterReader(made)
    inside = known = 0
    for window in block_windows(area.grid):
        part = area.read(*window, ["applicable"])
        inside += int(np.nansum(part))
        known += int(np.isfinite(part).sum())
    return made, unlike_sentence(1 - inside / max(1, known), fitted)


def unlike_sentence(share: float, fitted: Applicability) -> str:
    """Say how much of the ground is unlike any training ground, and from when on it is."""
    limit = f"dissimilarity index above {fitted.threshold:.2f}"
    if fitted.threshold < 0.005:
        limit += (
            ", for nearly every training place has a twin in another fold: any new combination"
            " counts"
        )
    return (
        f"{100 * share:.1f} % of the area is unlike any training ground ({limit}): the figures do"
        " not speak for it."
    )


class AreaPlan:
    """Training places and a stack made ready to give any block of the map of dissimilarity.

    Parameters
    ----------
    stack : RasterReader
    rows, cols, folds, importance
        See :func:`area_of_applicability`.
    """

    bands = APPLICABILITY_BANDS

    def __init__(
        self,
        stack: RasterReader,
        rows: np.ndarray,
        cols: np.ndarray,
        folds: np.ndarray,
        *,
        importance: Mapping[str, float] | None = None,
    ) -> None:
        self.stack = stack.with_classes()
        self.grid = stack.grid
        places = _place_features(self.stack, np.asarray(rows), np.asarray(cols))
        self.fitted = fit_applicability(places, folds, importance=importance)

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (2, height, width): dissimilarity, and 1 or 0, NaN off the valid ground."""
        part = self.stack.part(row, column, height, width)
        at_row, at_col = np.nonzero(valid_cells(part))
        layers = np.full((2, height, width), np.nan, np.float32)
        if len(at_row):
            index = self.fitted.dissimilarity(window_features(part, at_row, at_col))
            layers[0, at_row, at_col] = index
            layers[1, at_row, at_col] = self.fitted.inside(index)
        return layers

    def fingerprint(self) -> str:
        """Return a text that differs when any number of the map would."""
        digest = hashlib.sha256(self.fitted.tree.data.tobytes())
        for array in (self.fitted.centre, self.fitted.spread, self.fitted.weight, self.fitted.fill):
            digest.update(array.tobytes())
        return f"{digest.hexdigest()}|{self.fitted.threshold!r}|{self.stack.fingerprint()}"


def _place_features(stack: RasterReader, rows: np.ndarray, cols: np.ndarray) -> Features:
    """Return the features of places in their order; only blocks that hold some are read."""
    parts = []
    order = []
    for row, column, height, width in block_windows(stack.grid):
        inside = (rows >= row) & (rows < row + height) & (cols >= column) & (cols < column + width)
        here = np.flatnonzero(inside)
        if len(here):
            part = stack.part(row, column, height, width)
            parts.append(window_features(part, rows[here] - row, cols[here] - column))
            order.append(here)
    lost = len(rows) - sum(map(len, order))
    if lost:
        raise UsageError(
            f"{lost} of {len(rows)} training places lie off the stack: give rows and columns of its"
            " cells."
        )
    if not parts:
        raise DataError("there is no training place: nothing can be compared with it.")
    at = np.argsort(np.concatenate(order))
    joined = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "x", "y")
    ]
    values, x, y = (array[at] for array in joined)
    return Features(values, parts[0].columns, x, y)


def _space(
    values: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    weight: np.ndarray,
    fill: np.ndarray,
) -> np.ndarray:
    """Return places in the space of the standardised, weighted predictors; those of no weight are
    left out.
    """
    # Distances are sums over columns: one of no weight adds nothing.
    used = weight > 0
    values = values[:, used].astype(float)
    filled = np.where(np.isfinite(values), values, fill[used])
    return (filled - centre[used]) / spread[used] * weight[used]


def _mean_distance(space: np.ndarray, block: int = 500) -> float:
    """Return the mean distance of all pairs of different places, a block of rows at a time."""
    # All pairs, in blocks: the matrix of a survey's training places would not fit.
    total = sum(
        cdist(space[first : first + block], space).sum() for first in range(0, len(space), block)
    )
    if not total > 0:
        raise DataError(
            "all training places have the same values: no ground is like or unlike them."
        )
    return float(total / (len(space) * (len(space) - 1)))
