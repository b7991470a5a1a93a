"""The evaluation of a run: draws, network and simple models, optimism, the null test, and one
verdict from them all.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import UsageError
from ..models.baselines import ALONE, NETWORK
from ..models.fold_models import Model, train_model
from ..models.predict import SCORE_BANDS, Lattice
from ..progress import say, track
from ..rasters.bands import Band, as_dataarray, bands_of, grid_of
from ..windows.features import window_features
from ..windows.folds import NO_FOLD
from ..windows.negatives import draw_seed
from ..windows.windows import window_centres
from .applicability import area_of_applicability
from .evaluate import Evaluation, evaluate_model
from .held_out import Draw, network_draw, remembered
from .null_tests import SHIFTS, NullTest, null_test
from .optimism import measure_optimism
from .verdict import optimism_lines, with_null_tests

MAP_STRIDE = 2
"""Cells between the centres of a simple model's final map: it costs four times the evaluation's,
once.
"""


BUDGET = 1e7
"""Window cells that may pass through the network in training for the draws after the first to be
worth their time.
"""


@dataclass(frozen=True)
class Assessment:
    """What :func:`assess_map` found: the evaluation, the optimism meter, the null test, and the
    verdict from all.
    """

    evaluation: Evaluation
    optimism: pd.DataFrame
    null: NullTest | None
    verdict: list[str]
    network_null: NullTest | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a model and protocol."""
        return self.evaluation.table


def assess_map(
    model: Model,
    stack: xr.DataArray,
    tables: Sequence[gpd.GeoDataFrame],
    deposits: gpd.GeoDataFrame,
    scores: xr.DataArray,
    *,
    evidence: xr.DataArray | None = None,
    settings: dict | None = None,
    stride: int | None = None,
    folder: Path | None = None,
) -> Assessment:
    """Judge a map in every way a run does.

    Parameters
    ----------
    tables : sequence of GeoDataFrame
        Windows of each draw; the first ones trained ``model``.
    evidence : DataArray, optional
        All bands on cells a whole number of times larger, none of them chosen by deposits: for the
        null test, which is left out without.
    settings : dict, optional
        ``baselines`` (names), ``network_draws`` (how many draws the network is trained on; chosen
        by its cost when omitted), ``optimism`` (models that are measured; extra trees), ``shifts``
        (of the null test, 0 for none), ``network_shifts`` (of the null test by the network, none
        when omitted).
    folder : Path, optional
        Keeps what is finished, so that an interrupted evaluation goes on.
    """
    settings = settings or {}
    named = settings.get("network_draws")
    if named is not None and not 1 <= named <= len(tables):
        raise UsageError(
            f"network_draws = {named} must be 1 to the number of draws, {len(tables)}."
        )
    networks = affordable_draws(model, tables[0], len(tables)) if named is None else named
    say(f"{len(tables)} draws of barren windows for the simple models, {networks} for {NETWORK}")
    draws = []
    for number, table in enumerate(tables[1:], start=1):
        draw = Draw(table, draw_seed(model.seed, number))
        draws.append(_network_on(draw, model, stack, stride, folder) if number < networks else draw)
    evaluation = evaluate_model(
        model,
        stack,
        tables[0],
        deposits,
        scores,
        baselines=settings.get("baselines"),
        stride=stride,
        draws=draws,
        folder=folder,
    )
    bands = [member.bands for member in model.members]
    meter = measure_optimism(
        stack,
        model.folds,
        deposits,
        size=model.size,
        models=settings.get("optimism", ("extra trees",)),
        bands=bands,
        device=model.members[0].classifier.device,
        options=model.options,
        seed=model.seed,
    )
    first, *rest = evaluation.verdict
    drawn = f"the mean of {networks} draws" if networks > 1 else "those of one draw"
    drawn = (
        f"{NETWORK}'s figures are {drawn} of barren windows and seeds, the simple models' of"
        f" {len(tables)}."
    )
    null, network_null = _null_tests(evidence, deposits, model, settings)
    lines = [first, *_partner_lines(model), *rest, *optimism_lines(meter), drawn]
    lines = with_null_tests(lines, [test for test in (null, network_null) if test is not None])
    return Assessment(evaluation, meter, null, lines, network_null)


def _partner_lines(model: Model) -> list[str]:
    """Say what the network's row stands for, where simple models judge with it."""
    names = " and ".join(model.options.partners)
    if not names:
        return []
    if model.options.joining == "correction":
        return [f"{NETWORK} here is the network as a correction to {names}."]
    return [
        f"{NETWORK} here is the network joined with {names} (mean of their log odds); {ALONE} is"
        " without."
    ]


def _null_tests(
    evidence: xr.DataArray | None, deposits: gpd.GeoDataFrame, model: Model, settings: dict
) -> tuple[NullTest | None, NullTest | None]:
    """Return the null test by the simple model and by the network, None for one that is
    not wanted.
    """
    if evidence is None:
        return None, None
    factor = grid_of(evidence).cell / model.folds.grid.cell
    block = max(2, round(model.folds.block / factor))
    margin = math.ceil(model.folds.margin / factor)
    shifts = settings.get("shifts", SHIFTS), settings.get("network_shifts", 0)
    found = [
        (
            null_test(
                evidence,
                deposits,
                block=block,
                margin=margin,
                shifts=count,
                network=network,
                seed=model.seed,
                device=model.members[0].classifier.device,
            )
            if count
            else None
        )
        for count, network in zip(shifts, (None, model.options), strict=True)
    ]
    return found[0], found[1]


def assessment_record(found: Assessment) -> dict:
    """Return everything that was found as plain values, for evaluation.json."""
    evaluation = found.evaluation
    tests = [
        {
            "model": test.model,
            "way": test.way,
            "observed": test.observed,
            "p": test.p,
            "moved": test.moved,
        }
        for test in (found.null, found.network_null)
        if test is not None
    ]
    return {
        "verdict": found.verdict,
        "recommended": evaluation.recommended,
        "models": found.table.to_dict("records"),
        "optimism": found.optimism.to_dict("records"),
        "null_tests": tests,
        "folds": evaluation.proof.to_dict("records"),
        "held_out_shares": {name: 1 - values for name, values in evaluation.aucs.items()},
    }


def affordable_draws(model: Model, windows: gpd.GeoDataFrame, most: int) -> int:
    """Return on how many draws the network is trained: as many as its cost allows, at least one.

    The cost is counted, not timed, so that the same survey gives the same figures on every machine.
    """
    options = model.options
    if options.backbone != "compact":
        return 1
    length = max(
        int(model.folds.training(windows, fold).sum()) for fold in range(model.folds.count)
    )
    steps = (
        max(math.ceil(length / options.batch), math.ceil(options.least_steps / options.epochs))
        * options.epochs
    )
    networks = (
        model.folds.count if options.calibration == "none" else model.folds.count**2
    )  # with the inner ones
    cost = networks * steps * options.batch * model.size**2
    return int(np.clip(BUDGET // cost, 1, most))


def baseline_scores(evaluation: Evaluation, name: str) -> xr.DataArray:
    """Return the bands of :func:`geomfaf.predict_scores` by a simple model: the fold models of the
    first draw.

    The centres stand on every second cell: these models look at the centre's own values, and
    between the network's centres a fault of one cell's width would become a row of beads.
    """
    simple = evaluation.simple
    draw = evaluation.draws[0]
    lattice = Lattice(simple.lattice.valid, min(simple.lattice.stride, MAP_STRIDE))
    at = np.nonzero(lattice.wanted)
    ground = window_features(simple.stack, lattice.rows[at[0]], lattice.cols[at[1]], simple.size)
    found = np.full((simple.folds.count, *lattice.wanted.shape), np.nan, np.float32)
    heldout = np.full(lattice.valid.shape, np.nan, np.float32)
    raster = simple.folds.raster()
    for fold in track(range(simple.folds.count), f"mapping with {name}", unit="fold models"):
        own = raster == fold
        rival = simple.fitted(name, draw, fold)
        found[fold][at] = rival.predict_proba(ground.select(bands=simple.bands[fold]))[:, 1]
        heldout[own] = lattice.blend(found[fold])[own]
    votes = np.where(np.isnan(found), np.nan, found > 0.5).mean(axis=0)
    mean, spread, share = lattice.blend(np.stack([found.mean(axis=0), found.std(axis=0), votes]))
    texts = (
        f"Prospectivity score ({name}, mean of all fold models)",
        f"Held-out score ({name}, by the model that never saw the place)",
        f"Spread of the score (standard deviation over the fold models of {name})",
        f"Share of the fold models of {name} that vote ore",
    )
    bands = [
        Band(band.name, band.kind, band.unit, text)
        for band, text in zip(SCORE_BANDS, texts, strict=True)
    ]
    return as_dataarray(np.stack([mean, heldout, spread, share]), simple.folds.grid, bands)


def with_applicability(
    scores: xr.DataArray, model: Model, stack: xr.DataArray, windows: gpd.GeoDataFrame
) -> tuple[xr.DataArray, str]:
    """Return the scores with two bands that say which ground is unlike the training ground, and a
    sentence on it.

    A place is compared by the bands at its cell with all places that trained a fold model.
    """
    used = {name for member in model.members for name in member.bands}
    own = stack.sel(band=[name for name in stack["band"].values if name in used])
    trained = windows.drop_duplicates(["row", "col"])
    trained = trained[trained["trains"] != NO_FOLD] if "trains" in trained else trained
    at = window_centres(trained, model.folds.grid)
    area, fitted = area_of_applicability(own, *at, model.folds.of_windows(trained))
    bands = [*bands_of(scores), *bands_of(area)]
    share = 1 - float(np.nanmean(area.sel(band="applicable").values))
    limit = f"dissimilarity index above {fitted.threshold:.2f}"
    if fitted.threshold < 0.005:
        limit += (
            ", for nearly every training place has a twin in another fold: any new combination"
            " counts"
        )
    line = (
        f"{100 * share:.1f} % of the area is unlike any training ground ({limit}): the figures do"
        " not speak for it."
    )
    return as_dataarray(np.concatenate([scores.values, area.values]), grid_of(scores), bands), line


def risk_return_bands(evaluation: Evaluation, name: str) -> xr.DataArray | None:
    """Return a model's mean held-out score and its standard deviation over the draws, or None after
    one draw.
    """
    if sum(name in draw.maps for draw in evaluation.draws) < 2:
        return None
    bands = [
        Band("return", "score", "", f"Mean held-out score over the draws ({name})"),
        Band(
            "risk", "score", "", f"Standard deviation of the held-out score over the draws ({name})"
        ),
    ]
    return as_dataarray(np.stack(evaluation.risk_return(name)), evaluation.simple.folds.grid, bands)


def _network_on(
    draw: Draw, model: Model, stack: xr.DataArray, stride: int | None, folder: Path | None
) -> Draw:
    """Return the draw with the held-out scores of the network trained on it."""
    named = [band.name for band in bands_of(stack)]
    bands = [[name for name in named if name in member.bands] for member in model.members]

    def compute() -> dict[str, np.ndarray]:
        device = model.members[0].classifier.device
        again = train_model(
            stack,
            draw.windows,
            model.folds,
            options=model.options,
            bands=bands,
            seed=draw.seed,
            device=device,
        )
        found = network_draw(again, stack, draw.windows, stride=stride)
        parts = {f"map {name}": values for name, values in found.maps.items()}
        return parts | {f"windows {name}": values for name, values in found.scores.items()}

    state = (
        hashlib.sha256(stack.values.tobytes()).hexdigest(),
        bands,
        draw.windows,
        draw.seed,
        model.folds.table.tolist(),
        model.options,
        stride,
    )
    found = remembered(folder, state, compute)
    parts = (
        {name.removeprefix(of): v for name, v in found.items() if name.startswith(of)}
        for of in ("map ", "windows ")
    )
    return Draw(draw.windows, draw.seed, *parts)
