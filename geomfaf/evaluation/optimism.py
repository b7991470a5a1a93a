"""The optimism meter: how much better a model looks under the random split that most papers use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError, UsageError
from ..models.baselines import ENSEMBLE, NETWORK, make_baseline
from ..models.network.options import Training, training_options
from ..progress import quiet, track
from ..rasters.bands import bands_of, valid_cells
from ..windows.features import window_features
from ..windows.folds import Folds
from ..windows.screen import rank_auc
from ..windows.windows import NEGATIVES, tiled_windows

PARTS = 5
"""Parts of the random split: four fifths learn, as in the paper's 80 to 20."""

MOST = 600
"""Most windows judged; beyond that the figure hardly moves and a network takes minutes."""


def measure_optimism(  # noqa: PLR0913  (what a training needs, and what it is judged on)
    stack: xr.DataArray,
    folds: Folds,
    deposits: gpd.GeoDataFrame,
    *,
    size: int,
    models: Sequence[str] = ("extra trees",),
    bands: Sequence[Sequence[str]] | None = None,
    options: Training | None = None,
    seed: int = 0,
    device: str = "auto",
) -> pd.DataFrame:
    """Judge the same models on the same overlapping windows by a random split and by the spatial
    folds.

    Windows lie every half window over the map; those with a deposit are ore, and of the others
    about four a deposit window are drawn. Under the random split a deposit's four overlapping
    windows stand on both sides.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    folds : Folds
        See :func:`geomfaf.spatial_folds`.
    deposits : GeoDataFrame
        Points of the known deposits.
    size : int
        Cells along a window.
    models : sequence of str
        Names of baselines, ``"MFAF"`` or, where the options name its simple models, ``"MFAF
        ensemble"``.
    bands : sequence of sequences of str, optional
        Bands of each fold; the random split, which knows of no fold, uses those of any.
    options : Training, optional
        Of the network, see :func:`geomfaf.training_options`.
    seed : int
        The same seed, data and machine give the same result.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is computed; ``auto`` takes a graphics card where there is one.

    Returns
    -------
    DataFrame
        One row a model: model, random_auc, spatial_auc (window AUC, out of fold), optimism (their
        difference), windows, ore_windows.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4, fold_count=2)
    >>> found = gm.measure_optimism(stack, folds, survey.deposits, size=4)
    >>> found["model"].tolist()
    ['extra trees']
    """
    windows = _overlapping(stack, folds, deposits, size, seed)
    labels = windows["label"].to_numpy()
    named = [band.name for band in bands_of(stack)]
    allowed = [set(named)] * folds.count if bands is None else [set(own) for own in bands]
    # 1. the two splits: (training, test, bands) of every part
    spatial = []
    for fold, may_use in enumerate(allowed):
        train = folds.training(windows, fold)
        if len(np.unique(labels[train])) == 2:
            names = [name for name in named if name in may_use]
            spatial.append((train, folds.testing(windows, fold), names))
    anyone = [name for name in named if name in set().union(*allowed)]
    part = _random_parts(labels, seed)
    random = [(part != number, part == number, anyone) for number in range(PARTS)]
    # 2. every model under both
    rows = []
    for model in track(list(models), "measuring optimism", unit="models"):
        if model in (NETWORK, ENSEMBLE):
            trained = _fresh(options or training_options(), model)
            judge = _network(stack, windows, trained, seed, device)
        else:
            judge = _simple(stack, windows, model, seed)
        found = []
        for splits in (random, spatial):
            scores = np.full(len(labels), np.nan)
            for train, test, own in splits:
                if test.any():
                    scores[test] = judge(train, test, own)
            judged = np.isfinite(scores)
            found.append(rank_auc(scores[judged], labels[judged] == 1))
        rows.append((model, *found, found[0] - found[1], len(labels), int(labels.sum())))
    return pd.DataFrame(
        rows, columns=["model", "random_auc", "spatial_auc", "optimism", "windows", "ore_windows"]
    )


def _overlapping(
    stack: xr.DataArray,
    folds: Folds,
    deposits: gpd.GeoDataFrame,
    size: int,
    seed: int,
) -> gpd.GeoDataFrame:
    # Half a window apart: what a random split tests has neighbours that overlap it.
    table = tiled_windows(
        folds.grid, size, strides=[max(1, size // 2)], deposits=deposits, valid=valid_cells(stack)
    )
    # All ore windows up to a fifth of the most, and four times as many barren ones.
    rng = np.random.default_rng(seed)
    ore = rng.permutation(np.flatnonzero(table["label"] == 1))
    barren = rng.permutation(np.flatnonzero(table["label"] == 0))
    ore = ore[: round(MOST / (1 + NEGATIVES))]
    if len(ore) < PARTS or len(barren) < PARTS:
        raise DataError(
            f"{len(ore)} windows hold deposits: too few to compare a random split with spatial"
            " folds."
        )
    chosen = np.sort(np.r_[ore, barren[: round(NEGATIVES * len(ore))]])
    return table.iloc[chosen].reset_index(drop=True)


def _random_parts(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the part of each window, dealt at random with equal shares of ore."""
    # Dealt in turn after shuffling, so that every part has its share of ore.
    rng = np.random.default_rng(seed)
    part = np.zeros(len(labels), int)
    for value in (0, 1):
        members = rng.permutation(np.flatnonzero(labels == value))
        part[members] = np.arange(len(members)) % PARTS
    return part


def _simple(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    name: str,
    seed: int,
) -> Callable:
    half = int(windows["size"].iloc[0]) // 2
    labels = windows["label"].to_numpy()
    # The features are those of all windows; a split takes its rows.
    table = window_features(
        stack, windows["row"] + half, windows["col"] + half, int(windows["size"].iloc[0])
    )

    def judge(train: np.ndarray, test: np.ndarray, bands: list[str]) -> np.ndarray:
        own = table.select(bands=bands)
        fitted = make_baseline(name, seed=seed).fit(own[train], labels[train])
        return fitted.predict_proba(own[test])[:, 1]

    return judge


def _fresh(options: Training, model: str) -> Training:
    """Return the training of the network or of its ensemble; starting weights would blur what the
    splits differ in.
    """
    if model == NETWORK:
        return options.fresh().network_alone()
    if not options.ensemble:
        raise UsageError(
            f'optimism of "{ENSEMBLE}" needs an ensemble: name its simple models, such as ensemble'
            f' = ["extra trees"] under [train], or take "{NETWORK}".'
        )
    return options.fresh()


def _network(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    options: Training,
    seed: int,
    device: str,
) -> Callable:
    from ..models.fold_models import fit_fold_model
    from ..models.network.classifier import MFAFClassifier

    def judge(train: np.ndarray, test: np.ndarray, bands: list[str]) -> np.ndarray:
        classifier = MFAFClassifier(options, seed=seed, device=device)
        with quiet():
            fitted = fit_fold_model(stack, windows[train], bands, classifier)
        return fitted.judge_windows(stack, windows[test]).score

    return judge
