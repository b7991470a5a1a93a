"""Held-out scores: every place judged by models that were trained on other ground, one set of
scores a draw.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import geopandas as gpd
import numpy as np
import xarray as xr

from ..files import library_versions
from ..models.baselines import ENSEMBLE, NETWORK, known_everywhere, make_baseline
from ..models.predict import Lattice, model_lattice
from ..models.side_by_side import side_by_side
from ..progress import say, track
from ..rasters.reader import RasterReader
from ..windows.features import Features, window_features
from ..windows.folds import Folds
from .ground_sample import GroundSample

if TYPE_CHECKING:
    from ..models.fold_models import FoldModel, Model


Judged: TypeAlias = Lattice | GroundSample
"""What is judged: every cell of a map, or a sample of them."""


@dataclass(frozen=True)
class Draw:
    """One draw of barren windows and the held-out scores of the models that were trained on it.

    Attributes
    ----------
    windows : GeoDataFrame
        See :func:`geomfaf.draw_windows`.
    seed : int
        Of the models.
    maps : dict
        Model -> (y, x) float32, NaN where not valid; (1, cells) of a sample of the ground.
    scores : dict
        Model -> (windows,) score of each window that tests, NaN for the others.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> gm.Draw(windows, seed=0)
    <Draw: 700 windows, seed 0, judged by no model yet>
    """

    windows: gpd.GeoDataFrame
    seed: int
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        judged = ", ".join(self.maps) or "no model yet"
        return f"<Draw: {len(self.windows)} windows, seed {self.seed}, judged by {judged}>"


def network_draw(
    model: Model,
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    *,
    stride: int | None = None,
    lattice: Judged | None = None,
    heldout: np.ndarray | None = None,
    table: Features | None = None,
) -> Draw:
    """Return the held-out scores of a trained network.

    Parameters
    ----------
    stride : int, optional
        Of the map, see :func:`geomfaf.predict_scores`.
    lattice : Lattice or GroundSample, optional
        What is judged; the whole map when omitted.
    heldout : (y, x) ndarray, optional
        The model's own map where it is there already; only that of its network is computed then.
    table : Features, optional
        Of all centres of the map's windows, where they are there already.
    """
    names = list(dict.fromkeys([model.name, NETWORK]))
    source = RasterReader.of(stack)
    if lattice is None:
        lattice = model_lattice(model, source.valid, stride)
    mapped = heldout is not None and len(names) == 1
    # 1. what each fold model says of its own ground and windows
    said: list[Said] = [{} for _ in range(model.folds.count)]
    for fold_model in track(model.fold_models, "scoring held-out ground", unit="folds"):
        said[fold_model.fold] = fold_says(
            fold_model,
            source,
            windows,
            model.folds,
            None if mapped else lattice,
            table,
        )
    # 2. put together, and the map that is there already
    draw = put_together(Draw(windows, model.seed), names, said, model.folds, lattice)
    if heldout is not None:
        draw.maps[model.name] = heldout
    return draw


Said = dict[str, np.ndarray]
"""What models of a fold say: ``places NAME`` of the centres that have a say in its ground, and
``windows NAME`` of its test windows.
"""


def fold_says(
    fold_model: FoldModel,
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    lattice: Judged | None,
    table: Features | None = None,
) -> Said:
    """Return what a fold model, and its network alone, say of the ground that it never saw; of its
    test windows only where no lattice is given.
    """
    said: Said = {}
    names = (NETWORK,) if fold_model.simple is None else (ENSEMBLE, NETWORK)
    # 1. the centres that have a say in its ground
    own = np.zeros((0, 0), bool)
    if lattice is not None:
        own = _own_centres(folds, lattice, fold_model.fold)
        said = dict.fromkeys((f"places {name}" for name in names), np.empty(0, np.float32))
    if lattice is not None and own.any():
        rows = None
        if fold_model.simple is not None:
            rows = _ground_rows(fold_model, stack, lattice, own, table, windows)
        layers = lattice.scores(RasterReader.of(stack), own, fold_model, fold_model.odds(rows))
        # The model's own score comes first, its network's last: of a network alone they are one.
        for name, layer in zip(names, (layers[0], layers[-1]), strict=False):
            said[f"places {name}"] = layer[own]
    # 2. its test windows
    test = folds.testing(windows, fold_model.fold)
    judged = fold_model.judge_windows(stack, windows[test]) if test.any() else None
    for name in names:
        said[f"windows {name}"] = np.empty(0, np.float32)
        if judged is not None:
            said[f"windows {name}"] = judged.network if name == NETWORK else judged.score
    return said


def _ground_rows(
    fold_model: FoldModel,
    stack: xr.DataArray | RasterReader,
    lattice: Judged,
    own: np.ndarray,
    table: Features | None,
    windows: gpd.GeoDataFrame,
) -> Features:
    """Return the features of a fold's centres, from the table of all centres where it is there."""
    of_wanted = own[lattice.wanted]
    if table is not None:
        return table[of_wanted]
    rows, cols = lattice.places()
    size = int(windows["size"].iloc[0])
    bands = fold_model.simple.rows.bands if fold_model.simple is not None else None
    return window_features(stack, rows[of_wanted], cols[of_wanted], size, bands=bands)


def _own_centres(folds: Folds, lattice: Judged, fold: int) -> np.ndarray:
    """Return the centres that have a say in a fold's ground, shaped as ``lattice.wanted``: those up
    to a stride beside it, too.
    """
    return lattice.near((lattice.fold_of(folds) == fold) & lattice.valid)


def put_together(
    draw: Draw,
    names: Sequence[str],
    said: Sequence[Said],
    folds: Folds,
    lattice: Judged,
) -> Draw:
    """Return the draw with the maps and window scores that the models of its folds said."""
    fold_of = lattice.fold_of(folds)
    maps = {name: np.full(lattice.valid.shape, np.nan, np.float32) for name in names}
    scores = {name: np.full(len(draw.windows), np.nan) for name in names}
    for fold, found in enumerate(said):
        own = fold_of == fold
        centres = _own_centres(folds, lattice, fold)
        test = folds.testing(draw.windows, fold)
        for name in names:
            # From the centres to the fold's cells, and to its test windows.
            if f"places {name}" in found:
                layer = np.full(lattice.wanted.shape, np.nan, np.float32)
                layer[centres] = found[f"places {name}"]
                maps[name][own] = lattice.blend(layer)[own]
            if f"windows {name}" in found:
                scores[name][test] = found[f"windows {name}"]
    return Draw(draw.windows, draw.seed, {**draw.maps, **maps}, {**draw.scores, **scores})


def judge_draws(
    draws: Sequence[Draw],
    names: Sequence[str],
    fold_says: Callable[[Draw, int], Said],
    folds: Folds,
    lattice: Judged,
    *,
    label: str,
    processes: bool,
) -> list[Draw]:
    """Return the draws with what models say of their folds, every fold of every draw side by side.

    Parameters
    ----------
    names : sequence of str
        Of the models.
    fold_says : callable
        (draw, fold) -> what the models say of it.
    processes : bool
        See :func:`geomfaf.models.side_by_side.side_by_side`.
    """
    tasks = [partial(fold_says, draw, fold) for draw in draws for fold in range(folds.count)]
    said = side_by_side(tasks, label, unit="folds", processes=processes)
    judged = []
    for number, draw in enumerate(draws):
        own = said[number * folds.count : (number + 1) * folds.count]
        judged.append(put_together(draw, names, own, folds, lattice))
    return judged


class Baselines:
    """The simple models on one map: their feature tables are made once for all draws and folds.

    Parameters
    ----------
    stack : DataArray or RasterReader
    folds : Folds
    bands : sequence of sequences of str
        Bands that each fold may use.
    lattice : Lattice or GroundSample
        Centres at which the maps are scored; the network's.
    size : int
        Cells along a window.
    names : sequence of str
        See :data:`geomfaf.models.baselines.BASELINES`.
    """

    def __init__(
        self,
        stack: xr.DataArray | RasterReader,
        folds: Folds,
        bands: Sequence[Sequence[str]],
        lattice: Judged,
        size: int,
        names: Sequence[str],
    ) -> None:
        source = RasterReader.of(stack)
        self.stack = source
        self.folds = folds
        self.lattice = lattice
        self.size = size
        self.names = tuple(names)
        self.bands: list[list[str]] = []
        for own in bands:
            allowed = set(own)
            self.bands.append([name for name in source.names if name in allowed])
        self.ground: Features = window_features(source, *lattice.places(), size)
        # What was kept under another key was computed from something else.
        # The cells, the split and the versions of the libraries: each can change a score.
        digest = hashlib.sha256(source.fingerprint().encode())
        split = (
            folds.table.tolist(),
            folds.block,
            folds.margin,
            folds.linkage,
            self.bands,
            lattice.stride,
            lattice.wanted.shape,
            size,
        )
        digest.update(json.dumps([split, library_versions()]).encode())
        self.key = digest.hexdigest()

    def judge(self, draws: Sequence[Draw], *, folder: Path | None = None) -> list[Draw]:
        """Return the draws with the simple models' held-out scores added; finished folds in
        ``folder`` are taken.
        """
        return judge_draws(
            draws,
            self.names,
            partial(self.fold_says, folder),
            self.folds,
            self.lattice,
            label="simple models",
            processes=all(map(known_everywhere, self.names)),
        )

    def fold_says(self, folder: Path | None, draw: Draw, fold: int) -> Said:
        """Return what every simple model of a fold says of its ground and test windows."""
        table = self.table(draw)
        near = _own_centres(self.folds, self.lattice, fold)[self.lattice.wanted]
        said: Said = {}
        for name in self.names:
            found = remembered(
                folder,
                (self.key, draw.windows, draw.seed, fold, name),
                partial(self._judged, name, draw, fold, table, near),
            )
            said |= {f"{what} {name}": values for what, values in found.items()}
        return said

    def _judged(
        self,
        name: str,
        draw: Draw,
        fold: int,
        table: Features,
        near: np.ndarray,
    ) -> Said:
        """Return what a simple model says of a fold's centres (near) and of its test windows."""
        fitted = self.fitted(name, draw, fold, table)
        bands = self.bands[fold]
        test = self.folds.testing(draw.windows, fold)
        return {
            "places": fitted.predict_proba(self.ground[near].select(bands=bands))[:, 1],
            "windows": fitted.predict_proba(table[test].select(bands=bands))[:, 1],
        }

    def fitted(
        self,
        name: Any,
        draw: Draw,
        fold: int,
        table: Features | None = None,
    ) -> Any:
        """Return one simple model of one fold, by its name or on a classifier of scikit-learn, trained
        on a draw's windows.
        """
        train = self.folds.training(draw.windows, fold)
        rows = (self.table(draw) if table is None else table)[train].select(bands=self.bands[fold])
        labels = draw.windows["label"].to_numpy()
        return make_baseline(name, seed=draw.seed).fit(rows, labels[train])

    def table(self, draw: Draw) -> Features:
        """Return the features of a draw's windows."""
        half = self.size // 2
        # Windows are given by their upper left cell, features by the centre.
        rows = draw.windows["row"] + half
        return window_features(self.stack, rows, draw.windows["col"] + half, self.size)


def remembered(
    folder: Path | None, state: tuple, compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return arrays from a file in ``folder`` when they were computed from the same state, else
    compute and keep.
    """
    if folder is None:
        return compute()
    # A table counts by what stands in it, not by where it lies in the memory.
    words = [
        part.drop(columns="geometry").to_csv() if isinstance(part, gpd.GeoDataFrame) else part
        for part in state
    ]
    path = folder / f"{hashlib.sha256(repr(words).encode()).hexdigest()[:24]}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)  # each part has a checksum
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile):
            say("what was kept of the evaluation is damaged: it is computed again")
    # Written beside and renamed: a file that is there is whole.
    found = compute()
    folder.mkdir(parents=True, exist_ok=True)
    # Its own name: another process may be writing the same.
    beside = path.with_suffix(f".{os.getpid()}.partial.npz")
    np.savez(beside, **found)  # type: ignore[arg-type]
    beside.replace(path)
    return found
