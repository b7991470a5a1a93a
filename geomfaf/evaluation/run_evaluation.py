"""The evaluation of a run: draws, network and simple models, optimism, the null test, and one
verdict from them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import UsageError
from ..models.baselines import NETWORK
from ..notebook import page
from ..progress import say
from ..rasters.bands import Band, as_dataarray, bands_of, grid_of
from ..windows.negatives import draw_seed
from .applicability import area_of_applicability, trained_places, unlike_sentence
from .evaluate import Evaluation, evaluate_model
from .held_out import Draw
from .network_draws import network_draws
from .null_tests import SHIFTS, NullTest, network_null_test, null_test
from .optimism import measure_optimism
from .verdict import optimism_lines, with_null_tests

if TYPE_CHECKING:
    from ..models.fold_models import Model

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

    def __repr__(self) -> str:
        return f"<Assessment of {', '.join(self.evaluation.aucs)}: {self.verdict[0]}>"

    def _repr_html_(self) -> str:
        return page("Assessment", *self.evaluation.html_parts(self.verdict))


def assess_map(
    model: Model,
    stack: xr.DataArray,
    tables: Sequence[gpd.GeoDataFrame],
    deposits: gpd.GeoDataFrame,
    scores: xr.DataArray,
    *,
    evidence: xr.DataArray | None = None,
    settings: dict | None = None,
    folder: Path | None = None,
) -> Assessment:
    """Judge a map in every way a run does.

    Parameters
    ----------
    model : Model
        See :func:`geomfaf.train_model`.
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    tables : sequence of GeoDataFrame
        Windows of each draw; the first ones trained ``model``.
    deposits : GeoDataFrame
        Points of the known deposits.
    scores : DataArray
        Of ``model`` on ``stack``, see :func:`geomfaf.predict_scores`.
    evidence : DataArray, optional
        All bands on cells a whole number of times larger, none of them chosen by deposits: for the
        null test, which is left out without.
    settings : dict, optional
        ``baselines`` (names), ``network_draws`` (how many draws the network is trained on; chosen
        by its cost when omitted), ``optimism`` (models that are measured; extra trees), ``shifts``
        (of the null test, 0 for none), ``network_shifts`` (of the null test by the network, none
        when omitted), ``stride`` (of the maps; that of ``scores``).
    folder : Path, optional
        Keeps what is finished, so that an interrupted evaluation goes on.

    Returns
    -------
    Assessment
        The evaluation, the optimism meter, the null test and the sentences of the verdict.

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
    >>> found = gm.assess_map(
    ...     model, stack, [windows], survey.deposits, scores,
    ...     settings={"baselines": ["best band"], "optimism": []})
    >>> found.table["model"].tolist()
    ['MFAF', 'best band']
    """
    settings = settings or {}
    # 1. the draws on which the network is trained too
    networks = _network_draws(model, tables, settings.get("network_draws"))
    say(f"{len(tables)} draws of barren windows for the simple models, {networks} for {NETWORK}")
    draws = [Draw(tables[0], model.seed)]
    for number, table in enumerate(tables[1:], start=1):
        draws.append(Draw(table, draw_seed(model.seed, number)))
    stride = settings.get("stride")
    if networks > 1:
        drawn = network_draws(draws[1:networks], model, stack, stride=stride, folder=folder)
        draws[1:networks] = drawn
    # 2. every model on held-out ground
    evaluation = evaluate_model(
        model,
        stack,
        draws,
        deposits,
        scores,
        baselines=settings.get("baselines"),
        stride=stride,
        folder=folder,
    )
    # 3. what a random split would have said, and what deposits that follow nothing score
    meter = measure_optimism(
        stack,
        model.folds,
        deposits,
        size=model.size,
        models=settings.get("optimism", ("extra trees",)),
        bands=[fold_model.bands for fold_model in model.fold_models],
        device=_device_of(model),
        options=model.options,
        seed=model.seed,
    )
    null, network_null = _null_tests(evidence, deposits, model, settings)
    # 4. in words
    lines = _all_lines(evaluation, model, meter, networks)
    lines = with_null_tests(lines, [test for test in (null, network_null) if test is not None])
    return Assessment(evaluation, meter, null, lines, network_null)


def _network_draws(model: Model, tables: Sequence[gpd.GeoDataFrame], named: int | None) -> int:
    """Return on how many draws the network is trained."""
    if named is None:
        return affordable_draws(model, tables[0], len(tables))
    if not 1 <= named <= len(tables):
        raise UsageError(
            f"network_draws = {named} must be 1 to the number of draws, {len(tables)}."
        )
    return named


def _all_lines(
    evaluation: Evaluation,
    model: Model,
    meter: pd.DataFrame,
    networks: int,
) -> list[str]:
    """Return the verdict on held-out ground, what the ensemble is, the optimism and the draws."""
    first, *rest = evaluation.verdict
    drawn = f"the mean of {networks} draws" if networks > 1 else "those of one draw"
    drawn = (
        f"{NETWORK}'s figures are {drawn} of barren windows and seeds, the simple models' of"
        f" {len(evaluation.draws)}."
    )
    return [first, *_ensemble_lines(model), *rest, *optimism_lines(meter), drawn]


def _ensemble_lines(model: Model) -> list[str]:
    """Say what the ensemble's row stands for, where there is one."""
    if not model.options.ensemble:
        return []
    # Which simple models they are is a setting.
    names = " and ".join(model.options.ensemble)
    return [f"{model.name} is the network {NETWORK} joined with {names} (mean of their log odds)."]


def _device_of(model: Model) -> str:
    return model.fold_models[0].classifier.device


def _null_tests(
    evidence: xr.DataArray | None,
    deposits: gpd.GeoDataFrame,
    model: Model,
    settings: dict,
) -> tuple[NullTest | None, NullTest | None]:
    """Return the null test by the simple model and by the network, None for one that is
    not wanted.
    """
    if evidence is None:
        return None, None
    # The folds of the map, in the evidence's larger cells.
    # At least two cells a block, a margin never shorter than the map's.
    factor = grid_of(evidence).cell / model.folds.grid.cell
    cut: dict[str, Any] = {
        "block": max(2, round(model.folds.block / factor)),
        "margin": math.ceil(model.folds.margin / factor),
        "seed": model.seed,
    }
    null = None
    shifts = settings.get("shifts", SHIFTS)
    if shifts:
        null = null_test(evidence, deposits, shifts=shifts, **cut)
    network_null = None
    shifts = settings.get("network_shifts", 0)
    if shifts:
        network_null = network_null_test(
            evidence,
            deposits,
            model.options,
            shifts=shifts,
            device=_device_of(model),
            **cut,
        )
    return null, network_null


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
    from ..models.network.classifier import steps_of

    options = model.options
    if options.backbone != "compact":
        return 1
    # The longest fold decides how many steps a fold takes.
    folds = range(model.folds.count)
    longest = max(int(model.folds.training(windows, fold).sum()) for fold in folds)
    steps = options.epochs * steps_of(options, longest)
    cost = model.folds.count * steps * options.batch * model.size**2
    return int(np.clip(BUDGET // cost, 1, most))


def with_applicability(
    scores: xr.DataArray,
    model: Model,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
) -> tuple[xr.DataArray, str]:
    """Return the scores with two bands that say which ground is unlike the training ground, and a
    sentence on it.

    A place is compared by the bands at its cell with all places that trained a fold model.
    """
    used, at, folds = trained_places(model, windows)
    own = stack.sel(band=[name for name in stack["band"].values if name in used])
    area, fitted = area_of_applicability(own, *at, folds)
    bands = [*bands_of(scores), *bands_of(area)]
    share = 1 - float(np.nanmean(area.sel(band="applicable").values))
    line = unlike_sentence(share, fitted)
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
