"""The verdict: what the figures say about this map, in plain sentences, bad news included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..models.baselines import NETWORK
from ..windows.folds import Folds
from .intervals import mean_interval
from .null_tests import NullTest

FEW = 20
"""With fewer held-out deposits no share says anything without its interval."""

AUC = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)
"""What a map AUC, and a difference of two, can be."""

NO_MAPS = ("distance to deposit", NETWORK)
"""Never recommended in the place of another, whatever they score: a map of what is known already,
and the network where its ensemble is judged.
"""


def verdict(
    aucs: Mapping[str, np.ndarray], clusters: np.ndarray, *, model: str = NETWORK
) -> list[str]:
    """Say whether the network's map beats chance and the simple models, and which model to use
    here.

    Parameters
    ----------
    aucs : mapping
        Model -> (deposits,) share of the valid ground that each held-out deposit outranks.
    clusters : (deposits,) ndarray
        Which cluster each deposit belongs to; see
        :func:`geomfaf.evaluation.intervals.mean_interval`.
    model : str
        The model that is compared with all others.
    """
    # 1. against chance
    count = len(clusters)
    groups = len(np.unique(clusters))
    low, high = mean_interval(aucs[model], clusters, bounds=AUC)
    held = (
        f"held-out map AUC {aucs[model].mean():.3f}, 95 % interval {low:.3f} to {high:.3f}, {count}"
        " deposits"
    )
    if low > 0.5:
        lines = [f"The map of {model} ranks unseen deposits better than chance ({held})."]
    elif high < 0.5:
        lines = [
            f"The map of {model} ranks unseen deposits worse than chance ({held}): do not use it."
        ]
    else:
        lines = [f"The data do not show that the map of {model} is better than chance ({held})."]
    # 2. against the others, and what to do
    lines += _against_rivals(aucs, clusters, model)
    lines.append(_recommendation(aucs, clusters, model))
    # 3. what limits all of it
    nearness = aucs.get(NO_MAPS[0])
    if nearness is not None and nearness.mean() > 0.55:
        lines.append(
            "The deposits lie in clusters: distance to the nearest known deposit alone, which"
            f" explains nothing, has a map AUC of {nearness.mean():.3f}."
        )
    if count < FEW:
        lines.append(
            f"With {count} held-out deposits no share or AUC means anything without its interval:"
            " these deposits can show a strong effect, and cannot rank models that are alike."
        )
    if groups < 5:
        lines.append(
            f"The deposits lie in only {groups} clusters of ground: the intervals of AUCs allow for"
            " that, those of shares and of Nd are too narrow."
        )
    return lines


def recommended(
    aucs: Mapping[str, np.ndarray], clusters: np.ndarray, *, model: str = NETWORK
) -> str:
    """Return the model to map with: the network, unless a simple model is ahead of it beyond the
    interval.

    Of several that are, the best. A model that is only nominally better is not taken: the best of
    many equal models always looks better than the one that was named beforehand.
    """
    # Ahead of the model beyond the interval, and itself better than chance.
    ahead = {
        name: float((values - aucs[model]).mean())
        for name, values in aucs.items()
        if name != model
        and name not in NO_MAPS
        and mean_interval(values - aucs[model], clusters, bounds=DIFFERENCE)[0] > 0
        and mean_interval(values, clusters, bounds=AUC)[0] > 0.5
    }
    return max(ahead, key=lambda name: ahead[name]) if ahead else model


def block_lines(folds: Folds, autocorrelation: float) -> list[str]:
    """Say so where the blocks are shorter than the ground resembles itself; ``autocorrelation`` in
    metres or NaN.
    """
    block = folds.block * folds.grid.cell
    # Zones are dealt whole, in blocks of a quarter window: their blocks say nothing of distance.
    of_zones = folds.block < folds.margin
    # An autocorrelation that is not known (NaN) is not longer than anything.
    if of_zones or not block < autocorrelation:
        return []
    return [
        f"The folds' blocks of {block:,.0f} m are shorter than the {autocorrelation:,.0f} m over"
        " which the bands resemble themselves: ground beside a test block is still like it, and"
        " the figures may be a little too good."
    ]


def optimism_lines(meter: pd.DataFrame) -> list[str]:
    """Say how much better a random split of overlapping windows makes each model look."""
    return [
        f"Optimism of a random split: {row['optimism']:+.3f} ({row['model']}, AUC"
        f" {row['random_auc']:.3f} under a random split of overlapping windows,"
        f" {row['spatial_auc']:.3f} under the spatial folds)."
        for row in meter.to_dict("records")
    ]


DOUBT = 0.05
"""Above this p of a null test, chance is named as a possible reason."""

FEW_SHIFTS = 19
"""Moved patterns below which p cannot reach 0.05."""


def null_line(test: NullTest) -> str:
    """Say whether the deposits could lie where they do by chance."""
    how = {
        "torus": "shifted",
        "rotate": "turned",
        "redraw": "redrawn",
    }[test.way]
    figures = (
        f"{test.model} on all bands scores {test.observed:.3f} held out, the same pattern of"
        f" deposits {how} at random {len(test.moved)} times {test.moved.mean():.3f} on average, p ="
        f" {test.p:.3f}"
    )
    if len(test.moved) < FEW_SHIFTS:
        above = int((test.moved < test.observed).sum())
        return (
            f"Null test of {test.model}: the real pattern scores higher than {above} of"
            f" {len(test.moved)} moved ones, which are too few for a p below"
            f" {1 / (1 + len(test.moved)):.2f} ({figures})."
        )
    if test.p <= DOUBT:
        return (
            f"The deposits do follow the evidence, beyond what their pattern explains ({figures})."
        )
    return (
        "Null test: it cannot be excluded that the deposits follow nothing in the evidence"
        f" ({figures})."
    )


def with_null_tests(lines: Sequence[str], tests: Sequence[NullTest]) -> list[str]:
    """Return the verdict's lines and those on chance: a doubt goes straight behind the first one,
    which it limits.
    """
    doubts = [null_line(test) for test in tests if test.p > DOUBT]
    rest = [null_line(test) for test in tests if test.p <= DOUBT]
    return [*lines[:1], *doubts, *lines[1:], *rest]


def _against_rivals(aucs: Mapping[str, np.ndarray], clusters: np.ndarray, model: str) -> list[str]:
    """Return a sentence each for the rivals that lose, tie and win."""
    groups: dict[str, list[str]] = {
        "ahead": [],
        "tie": [],
        "beaten": [],
    }
    for name, values in aucs.items():
        if name == model:
            continue
        # Paired by deposit: what is hard for both models does not widen the interval.
        difference = aucs[model] - values
        low, high = mean_interval(difference, clusters, bounds=DIFFERENCE)
        kind = "ahead" if low > 0 else "beaten" if high < 0 else "tie"
        groups[kind].append(f"{name} {difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
    starts = {
        "beaten": f"{model} is beaten here by ",
        "tie": f"With these deposits {model} cannot be told apart from ",
        "ahead": f"{model} is ahead of ",
    }
    what = " (difference in map AUC, 95 % interval)."
    return [
        start + "; ".join(groups[kind]) + what for kind, start in starts.items() if groups[kind]
    ]


def _recommendation(aucs: Mapping[str, np.ndarray], clusters: np.ndarray, model: str) -> str:
    # No model better than chance: say which simple ones are.
    best = recommended(aucs, clusters, model=model)
    if mean_interval(aucs[best], clusters, bounds=AUC)[0] <= 0.5:
        others = [
            f'"{name}" {values.mean():.3f}'
            for name, values in aucs.items()
            if name not in NO_MAPS and mean_interval(values, clusters, bounds=AUC)[0] > 0.5
        ]
        drawn = (
            f'With model = "auto" that of {best} is drawn: take its targets as ideas to check, not'
            " as results."
        )
        if not others:
            return f"No map can be recommended on these data. {drawn}"
        return (
            f"The map of {best} cannot be recommended on these data. {drawn} Simple models whose"
            f" interval lies above 0.5 (map AUC; set model to one of them): {', '.join(others)}."
        )
    if best != model:
        return (
            f"Recommended for this area: {best}, the simple model that is ahead of {model} beyond"
            " the interval."
        )
    # A rival that is only nominally better is named beside the model.
    rivals = {
        name: values.mean()
        for name, values in aucs.items()
        if name != model and name not in NO_MAPS
    }
    top = max(rivals, key=lambda name: rivals[name], default=None)
    if top is None or rivals[top] <= aucs[model].mean():
        return f"Recommended for this area: {model}; no simple model scores higher."
    return (
        f"Recommended for this area: {model} or, as well supported and simpler, {top}, which scores"
        f" {rivals[top] - aucs[model].mean():.3f} higher, within the interval."
    )
