"""A simple model goes in; the same score bands as the network's come out."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import xarray as xr

from ..models.any_classifier import is_classifier_object
from ..models.predict import Lattice, default_stride, score_bands
from ..progress import track
from ..rasters.bands import as_dataarray, grid_of, valid_cells
from ..windows.features import window_features
from ..windows.folds import Folds
from .evaluate import Evaluation
from .held_out import Baselines, Draw

MAP_STRIDE = 2
"""Cells between the centres of a simple model's final map: it costs four times the evaluation's,
once.
"""


def predict_baseline(
    model: Any,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    *,
    seed: int = 0,
) -> xr.DataArray:
    """Train a simple model on every fold and score every cell: its map, held-out scores included.

    Parameters
    ----------
    model : str or classifier
        Name of a simple model (see :func:`geomfaf.register_baseline`), or any classifier of
        scikit-learn with ``predict_proba``.
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    windows, folds
        See :func:`geomfaf.make_windows`.
    seed : int
        Of the model.

    Returns
    -------
    DataArray
        float32 (band, y, x), the bands of :func:`geomfaf.predict_scores`.

    Raises
    ------
    UsageError
        For an unknown name, and a classifier without ``predict_proba``.
    DataError
        For a stack on another grid than the folds'.

    Examples
    --------
    >>> import geomfaf as gm
    >>> from sklearn.naive_bayes import GaussianNB
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> stack = gm.build_stack(survey, gm.survey_grid(survey, cell=400), elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4)
    >>> scores = gm.predict_baseline(GaussianNB(), stack, windows, folds)
    >>> scores["band"].values.tolist(), scores.shape[1:] == stack.shape[1:]
    (['score', 'heldout_score', 'spread', 'vote_share'], True)
    """
    folds.grid.require_same(grid_of(stack), "the stack")
    size = int(windows["size"].iloc[0])
    lattice = Lattice(valid_cells(stack), min(default_stride(size), MAP_STRIDE))
    bands = [[str(name) for name in stack["band"].values]] * folds.count
    simple = Baselines(stack, folds, bands, lattice, size, [])
    return _score_map(model, simple, Draw(windows, seed), lattice)


def baseline_scores(evaluation: Evaluation, name: str) -> xr.DataArray:
    """Return the map of a simple model that was evaluated: the fold models of the first draw.

    The centres stand on every second cell: these models look at the centre's own values, and
    between the network's centres a fault of one cell's width would become a row of beads.
    """
    simple = evaluation.simple
    draw = evaluation.draws[0]
    lattice = Lattice(simple.lattice.valid, min(simple.lattice.stride, MAP_STRIDE))
    scores = _score_map(name, simple, draw, lattice)
    if lattice.stride == simple.lattice.stride:
        # The same map as the one that was judged: its bits are kept, whatever the order in which
        # this processor would sum now.
        scores.loc[{"band": "heldout_score"}] = draw.maps[name]
    return scores


def _score_map(model: Any, simple: Baselines, draw: Draw, lattice: Lattice) -> xr.DataArray:
    """Return the score bands of a model that is trained on a draw, fold by fold."""
    name = type(model).__name__ if is_classifier_object(model) else model
    # 1. every fold model judges the centres of all windows
    at = np.nonzero(lattice.wanted)
    ground = window_features(simple.stack, *lattice.places(), simple.size)
    found = np.full((simple.folds.count, *lattice.wanted.shape), np.nan, np.float32)
    heldout = np.full(lattice.valid.shape, np.nan, np.float32)
    raster = simple.folds.raster()
    for fold in track(range(simple.folds.count), f"mapping with {name}", unit="fold models"):
        # A fold's model maps all ground, and is believed on its own.
        own = raster == fold
        fitted = simple.fitted(model, draw, fold)
        found[fold][at] = fitted.predict_proba(ground.select(bands=simple.bands[fold]))[:, 1]
        heldout[own] = lattice.blend(found[fold])[own]
    # 2. mean, spread and votes over the fold models, from the centres to the cells
    votes = np.where(np.isnan(found), np.nan, found > 0.5).mean(axis=0)
    mean, spread, share = lattice.blend(np.stack([found.mean(axis=0), found.std(axis=0), votes]))
    layers = np.stack([mean, heldout, spread, share])
    return as_dataarray(layers, simple.folds.grid, score_bands(name, simple=True))
