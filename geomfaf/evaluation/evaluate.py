"""How good is the map on ground it never saw? The network and the simplest rivals, on the same
folds and draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError
from ..models.baselines import BASELINES, ENSEMBLE, NETWORK
from ..models.network.options import Training
from ..models.predict import Lattice, default_stride, model_lattice, model_stride, score_bands
from ..notebook import page, sentences, small_map, table
from ..progress import say
from ..rasters.bands import require_score_bands, valid_cells
from ..rasters.reader import RasterReader
from ..windows.folds import Folds, random_split
from ..windows.leak_proof import prove_leak_free
from ..windows.reading import windows_from
from ..windows.windows import valid_deposits
from .ground_sample import GroundSample
from .held_out import Baselines, Draw, network_draw
from .metrics import boyce_index, map_figures, place_deposits
from .verdict import recommended, verdict
from .window_metrics import window_metrics

if TYPE_CHECKING:
    from ..models.fold_models import Model

CURVE = np.linspace(0, 1, 1001)
"""Shares of area at which the capture curves are kept."""


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate_model`.

    Attributes
    ----------
    table : DataFrame
        One row a model: map figures with their 95 % intervals, spread over draws and folds, window
        figures, counts.
    verdict : list of str
        What the figures do and do not support, in plain sentences.
    aucs : dict
        Model -> for each held-out deposit, the share of the valid area that scores lower (ties one
        half), the mean over the draws.
    curves : DataFrame
        Captured share of the deposits by share of area (the index), a column a model.
    proof : DataFrame
        See :func:`geomfaf.prove_leak_free`, of the first draw.
    recommended : str
        The model to map with, see :func:`geomfaf.evaluation.verdict.recommended`.
    draws : list of Draw
        Every draw with the held-out maps of all models.
    simple : Baselines
        The simple models' feature tables, to map with one of them.
    """

    table: pd.DataFrame
    verdict: list[str]
    aucs: dict[str, np.ndarray]
    curves: pd.DataFrame
    proof: pd.DataFrame
    recommended: str
    draws: list[Draw]
    simple: Baselines

    def __repr__(self) -> str:
        return f"<Evaluation of {', '.join(self.aucs)}: {self.verdict[0]}>"

    def _repr_html_(self) -> str:
        return page("Evaluation", *self.html_parts(self.verdict))

    def html_parts(self, verdict: list[str]) -> list[str]:
        """Return a verdict, the main figures and a small held-out map, for notebooks."""
        figures = ("map_auc", "map_auc_low", "map_auc_high", "capture_10", "nd", "deposits")
        parts = [sentences(verdict), table(self.table[["model", *figures]])]
        if isinstance(self.simple.lattice, GroundSample):
            return [*parts, sentences([self.simple.lattice.sentence()])]
        held_out = self.risk_return(self.recommended)[0]
        picture = small_map(
            lambda axes: axes.imshow(held_out, cmap="YlOrRd"), f"held-out map of {self.recommended}"
        )
        caption = sentences([f"map: held-out score of {self.recommended}, which is recommended"])
        return [*parts, picture, caption]

    def risk_return(self, model: str) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of a model's held-out score over the draws, (y, x)
        each.
        """
        maps = np.stack([draw.maps[model] for draw in self.draws if model in draw.maps])
        spread = (
            maps.std(axis=0, ddof=1)
            if len(maps) > 1
            else np.full(maps.shape[1:], np.nan, np.float32)
        )
        return maps.mean(axis=0), spread


def evaluate_model(
    model: Model,
    stack: xr.DataArray | RasterReader,
    draws: Sequence[Draw],
    deposits: gpd.GeoDataFrame,
    scores: xr.DataArray | RasterReader,
    *,
    baselines: Sequence[str] | None = None,
    stride: int | None = None,
    folder: Path | None = None,
) -> Evaluation:
    """Evaluate a model and its simplest rivals on the same folds, draws, windows and bands.

    Every figure comes from out-of-fold scores: a window or cell is judged by the model of its fold,
    which was trained on windows that share no cell with it. Every draw is proved to be free of
    leaks first.

    Parameters
    ----------
    model : Model
        See :func:`geomfaf.train_model`.
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`. Of a file, which may be larger than memory,
        a regular sample of the ground is judged in place of every cell, see
        :class:`geomfaf.evaluation.ground_sample.GroundSample`.
    draws : sequence of Draw
        Windows and seed of the draw that trained the model, ``Draw(windows, model.seed)``; then
        those of more draws, with or without the network's held-out scores on them.
    deposits : GeoDataFrame
        Points of the known deposits.
    scores : DataArray or RasterReader
        Result of :func:`geomfaf.predict_scores` on the same stack.
    baselines : sequence of str, optional
        Names of the simple models; all that are registered when omitted.
    stride : int, optional
        Of the baselines' maps; use the one of ``scores``.
    folder : Path, optional
        Keeps what is finished, fold by fold, so that an interrupted evaluation goes on.

    Returns
    -------
    Evaluation
        Its ``table`` has one row a model, its ``verdict`` the sentences.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4, fold_count=2)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> scores = gm.predict_scores(model, stack)
    >>> draws = [gm.Draw(windows, model.seed)]
    >>> found = gm.evaluate_model(
    ...     model, stack, draws, survey.deposits, scores, baselines=["best band"])
    >>> found.table["model"].tolist()
    ['MFAF', 'best band']
    """
    source = RasterReader.of(stack)
    mapped = RasterReader.of(scores)
    for what, raster in (("the stack", source), ("the score map", mapped)):
        model.folds.grid.require_same(raster.grid, what)
    for draw in draws:
        _require_size(draw.windows, model.size)
    # 1. no draw may leak, and the map must be this model's
    proofs = [prove_leak_free(draw.windows, model.folds) for draw in draws]
    at = _deposits_on(source.valid, deposits, model.folds)
    lattice: Lattice | GroundSample
    if source.array is None:
        lattice = GroundSample(source.valid, model_stride(model, stride), at)
        say(lattice.sentence())
    else:
        lattice = model_lattice(model, source.valid, stride)
    heldout = _held_out_scores(model, mapped, lattice)
    names = list(BASELINES if baselines is None else baselines)
    # 2. the simple models' tables; the network's own scores of the first draw
    bands = [fold_model.bands for fold_model in model.fold_models]
    simple = Baselines(
        source,
        model.folds,
        bands,
        lattice,
        model.size,
        names,
    )
    first = network_draw(
        model,
        source,
        draws[0].windows,
        lattice=lattice,
        heldout=heldout,
        table=simple.ground,
    )
    done = simple.judge([first, *draws[1:]], folder=folder)
    return summarise(done, simple, proofs[0], at)


def _require_size(windows: gpd.GeoDataFrame, size: int) -> None:
    """Raise :class:`DataError` for windows that the folds of a model keep no distance for."""
    if (windows["size"] != size).any():
        raise DataError(
            f"windows of {windows['size'].max()} cells cannot test a model of windows of"
            f" {size} cells: its folds keep no distance for them. Give the windows that"
            " it was trained on."
        )


def _held_out_scores(
    model: Model, scores: RasterReader, lattice: Lattice | GroundSample
) -> np.ndarray:
    """Return the held-out scores of a map at the cells that are judged, refused when they are not
    this model's.
    """
    require_score_bands(scores.names, ("score", "heldout_score"))
    # A score map names its model; another model's map would be judged under this one's name.
    said = next(band.description for band in scores.bands if band.name == "score")
    if said != score_bands(model.name)[0].description:
        raise DataError(
            f'the score map is not that of {model.name} but "{said}": run `geomfaf predict` and'
            " give its result."
        )
    if isinstance(lattice, GroundSample):
        cells = (lattice.cell_rows, lattice.cell_cols)
        heldout = windows_from(scores, *cells, 1, ["heldout_score"]).reshape(1, -1)
    else:
        (heldout,) = scores.read(0, 0, *scores.grid.shape, ["heldout_score"])
    if not np.isfinite(heldout[lattice.valid]).any():
        raise DataError(
            "the score map has no held-out scores: it was predicted on another grid than the"
            " model's, to the last digit. Run `geomfaf predict` on the stack that the model was"
            " trained on."
        )
    return heldout


def evaluate_baselines(
    stack: xr.DataArray,
    folds: Folds,
    draws: Sequence[Draw],
    deposits: gpd.GeoDataFrame,
    *,
    baselines: Sequence[str] | None = None,
    bands: Sequence[Sequence[str]] | None = None,
    stride: int | None = None,
    folder: Path | None = None,
) -> Evaluation:
    """Evaluate the simple models alone, without any network; see :func:`evaluate_model`."""
    # The same steps as for a network, with every band allowed in every fold where none is named.
    proofs = [prove_leak_free(draw.windows, folds) for draw in draws]
    size = int(draws[0].windows["size"].iloc[0])
    valid = valid_cells(stack)
    if bands is None:
        bands = [[str(name) for name in stack["band"].values]] * folds.count
    lattice = Lattice(valid, default_stride(size) if stride is None else stride)
    names = list(BASELINES if baselines is None else baselines)
    simple = Baselines(
        stack,
        folds,
        bands,
        lattice,
        size,
        names,
    )
    done = simple.judge(draws, folder=folder)
    return summarise(done, simple, proofs[0], _deposits_on(valid, deposits, folds))


def _deposits_on(
    valid: np.ndarray, deposits: gpd.GeoDataFrame, folds: Folds
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the deposits on valid ground: the others have no score."""
    return valid_deposits(deposits, folds.grid, valid, "nothing can be evaluated")


def summarise(
    draws: list[Draw],
    simple: Baselines,
    proof: pd.DataFrame,
    at: tuple[np.ndarray, np.ndarray],
) -> Evaluation:
    """Return the figures of all models over all draws, given the deposits' rows and columns."""
    # Deposits within the folds' linkage are one witness: intervals are over clusters.
    clusters = simple.folds.clusters(*at)
    valid = simple.lattice.valid
    sample = simple.lattice.ground if isinstance(simple.lattice, GroundSample) else None
    judged_at = simple.lattice.cells_of(*at)
    fold_of = simple.folds.at(*at)
    aucs = {}
    curves = {}
    table = []
    for name in draws[0].maps:
        # Figures of the mean over the draws, spread between them.
        own = [draw for draw in draws if name in draw.maps]
        placed = []
        for draw in own:
            placed.append(place_deposits(draw.maps[name], valid, *judged_at, sample))
        aucs[name] = np.mean([place.auc for place in placed], axis=0)
        curves[name] = np.mean([place.captured(CURVE) for place in placed], axis=0)
        # Counts first, then figures with intervals, then how far draws and folds agree.
        row = {
            "model": name,
            "protocol": "spatial folds",
            "draws": len(own),
            "deposits": len(clusters),
            "clusters": len(np.unique(clusters)),
        }
        row |= map_figures(aucs[name], CURVE, curves[name], clusters, seed=draws[0].seed)
        row["boyce"] = float(np.mean([boyce_index(place) for place in placed]))
        row["map_auc_sd_draws"] = _spread([place.auc.mean() for place in placed])
        row["map_auc_sd_folds"] = _spread(_by_fold(aucs[name], fold_of))
        table.append({**row, **_window_figures(own, name)})
    # The curve of the report: the mean over the deposits, which are equal.
    captured = pd.DataFrame(
        {name: curve.mean(axis=0) for name, curve in curves.items()}, index=CURVE
    )
    captured.index.name = "area"
    # The verdict is on the ensemble, or what stands in its place.
    main = next((name for name in (ENSEMBLE, NETWORK, "extra trees") if name in aucs), None)
    main = main or next(iter(aucs))
    return Evaluation(
        pd.DataFrame(table),
        verdict(aucs, clusters, model=main),
        aucs,
        captured,
        proof,
        recommended(aucs, clusters, model=main),
        draws,
        simple,
    )


def _by_fold(values: np.ndarray, fold_of: np.ndarray) -> list[float]:
    """Return the mean of the deposits' values in each fold."""
    return [values[fold_of == fold].mean() for fold in np.unique(fold_of)]


def _window_figures(draws: list[Draw], name: str) -> dict[str, float]:
    """Return the mean of each window figure over the draws."""
    rows = []
    for draw in draws:
        tested = np.isfinite(draw.scores[name])
        rows.append(
            window_metrics(draw.windows["label"].to_numpy()[tested], draw.scores[name][tested])
        )
    # Draws have different windows: counts are means too, rounded to whole ones.
    means = pd.DataFrame(rows).mean()
    return {
        str(key): round(value) if str(key).endswith("windows") else float(value)
        for key, value in means.items()
    }


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def evaluate_paper_protocol(
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    *,
    options: Training | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
) -> pd.DataFrame:
    """Return the window metrics under the paper's protocol: balance first, then split at random 80
    to 20.

    **These figures leak** and are for comparison with published ones only: synthetic windows stand
    in the test part beside the windows they were made from, and overlapping windows on both sides
    of the split. An interrupted training goes on from the checkpoint, where there is one.
    """
    from ..models.fold_models import training_data
    from ..models.network.augment import smote
    from ..models.network.classifier import MFAFClassifier

    options = (options or Training()).fresh().network_alone()
    # 1. every place once, whichever folds it was drawn for
    if "trains" in windows:
        windows = windows.drop_duplicates(["row", "col"])
    names = RasterReader.of(stack).names
    # 2. balanced and noisy before the split: this is what leaks
    x, labels, _ = training_data(stack, windows, names)
    x, labels = smote(x, labels, seed=seed)
    # The paper gives a variance, numpy wants a standard deviation.
    noise = np.random.default_rng(seed).normal(0, options.noise**0.5, x.shape)
    x = x + noise.astype(np.float32)
    # 3. four fifths teach, one fifth tests
    test = random_split(labels, seed=seed)
    classifier = MFAFClassifier(options, seed=seed, device=device).fit(
        x[~test], labels[~test], checkpoint=checkpoint, label="paper's protocol"
    )
    figures = window_metrics(labels[test], classifier.predict_proba(x[test])[:, 1])
    return pd.DataFrame(
        [
            {
                "model": NETWORK,
                "protocol": "paper (leaks)",
                **figures,
            }
        ]
    )
