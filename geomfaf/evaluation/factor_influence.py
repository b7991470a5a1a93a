"""A trained model and its stack go in; how much each factor weighs on the whole map comes out, by
three measures, with how far these agree.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy
import xarray as xr

from ..models.predict import Lattice
from ..progress import track
from ..rasters.bands import valid_cells
from .fold_judges import FoldJudges, Ground, side_by_side, windows_at

if TYPE_CHECKING:  # it needs torch
    from ..models.fold_models import Model

REPEATS = 5
"""Permutations of each factor in each fold; their mean counts."""

PLACES = 500
"""Places of the map, evenly spread, on which occlusion is measured."""

MEASURES = ("permutation", "attention", "occlusion")

FACTOR_COLUMNS = (
    "factor",
    "permutation",
    "permutation_sd",
    "attention",
    "attention_sd",
    "occlusion",
    "occlusion_sd",
    "permutation_rank",
    "attention_rank",
    "occlusion_rank",
)


def factor_influence(
    judges: FoldJudges,
    model: Model,
    stack: xr.DataArray,
    windows: pd.DataFrame,
    attention: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return how much each factor weighs on the whole map, by three measures.

    *Permutation* is the fall of the AUC on held-out windows when the factor is dealt out among
    them at random (Breiman 2001). *Attention* is the mean channel-attention weight of equation (7).
    *Occlusion* is the mean change of the score, up or down, with the factor at its median.

    Parameters
    ----------
    windows : DataFrame
        Labelled windows; each fold's model is tested on those that it never learned from.
    attention : DataFrame, optional
        See :func:`geomfaf.factor_attention`; leave it out where a simple model makes the map.

    Returns
    -------
    DataFrame
        One row a factor, the most influential first: every measure, its standard deviation over
        the folds (``_sd``) and its rank (1 = most). NaN where it could not be measured.
    """
    names = [str(name) for name in stack["band"].values]
    # 1. Fold by fold: one row a fold, one column a factor.
    found: dict[str, np.ndarray] = {
        "permutation": _permuted(judges, model, stack, windows),
        "attention": _attended(attention, names, judges.folds),
        "occlusion": _occluded(judges, stack),
    }
    # 2. Means, spreads and ranks.
    table = pd.DataFrame({"factor": names})
    for measure in MEASURES:
        frame = pd.DataFrame(found[measure], columns=names)
        table[measure] = frame.mean().to_numpy()
        table[f"{measure}_sd"] = frame.std(ddof=1).to_numpy()
        table[f"{measure}_rank"] = table[measure].rank(ascending=False, method="min")
    # 3. The order of the list: the mean rank of the measures that there are.
    ranks = table[[f"{measure}_rank" for measure in MEASURES]].mean(axis=1)
    order = np.argsort(ranks.to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)[list(FACTOR_COLUMNS)]


def _permuted(
    judges: FoldJudges,
    model: Model,
    stack: xr.DataArray,
    windows: pd.DataFrame,
) -> np.ndarray:
    """Return the fall of the held-out AUC by fold and factor; NaN rows for folds without both
    labels.
    """
    from sklearn.metrics import roc_auc_score

    falls = np.full((judges.folds, stack.sizes["band"]), np.nan)
    for fold in track(range(judges.folds), "permuted factors", unit="folds"):
        test = windows[model.folds.testing(windows, fold)]
        labels = test["label"].to_numpy()
        if len(np.unique(labels)) < 2:
            continue
        # 1. The held-out windows side by side, and what the fold's model makes of them.
        strip = side_by_side(stack, test, judges.size)
        whole = roc_auc_score(labels, judges.judge(fold, strip))
        # 2. The same with one factor's windows dealt out anew; the same orders for every factor.
        rng = np.random.default_rng([model.seed, fold])
        orders = [rng.permutation(len(test)) for _ in range(REPEATS)]
        for column, factor in enumerate(map(str, stack["band"].values)):
            # All orders in one call: a call for each would cost more than what it judges.
            dealt = judges.judge(fold, strip.dealt_out(factor, orders)).reshape(REPEATS, -1)
            aucs = [roc_auc_score(labels, scores) for scores in dealt]
            falls[fold, column] = whole - np.mean(aucs)
    return falls


def _attended(attention: pd.DataFrame | None, names: list[str], folds: int) -> np.ndarray:
    """Return the mean attention weight by fold and factor."""
    if attention is None or not len(attention):
        return np.full((folds, len(names)), np.nan)
    # A row a fold, which tables count from 1; a factor that a fold did not use has no weight.
    weights = attention.pivot_table("weight", "fold", "factor", aggfunc="mean")
    return weights.reindex(index=range(1, folds + 1), columns=names).to_numpy(float)


def _occluded(judges: FoldJudges, stack: xr.DataArray) -> np.ndarray:
    """Return the mean absolute change of the score by fold and factor, on places all over the
    map.
    """
    # 1. Places evenly spread over the map, in the order of its rows.
    lattice = Lattice(valid_cells(stack), judges.stride)
    table = windows_at(lattice, lattice.wanted, judges.size)
    count = min(PLACES, len(table))
    places = np.unique(np.linspace(0, len(table) - 1, count).astype(int))
    ground = Ground.of(stack, table.iloc[places])
    before = [judges.judge(fold, ground) for fold in range(judges.folds)]
    # 2. One factor after the other at its median, judged by every fold model.
    names = [str(name) for name in stack["band"].values]
    changes = np.full((judges.folds, len(names)), np.nan)
    for column, name in enumerate(track(names, "factors on the map")):
        without = ground.without(name)
        for fold in range(judges.folds):
            change = judges.judge(fold, without) - before[fold]
            changes[fold, column] = np.abs(change).mean()
    return changes


def factor_agreement(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how alike the measures order the factors: Spearman's and Kendall's rank correlation of
    every two.

    Examples
    --------
    >>> table = pd.DataFrame({"permutation": [3.0, 2, 1], "attention": [0.3, 0.1, 0.2],
    ...     "occlusion": [np.nan] * 3})
    >>> factor_agreement(table)
    [{'one': 'permutation', 'other': 'attention', 'factors': 3, 'spearman': 0.5, 'kendall': 0.333}]
    """
    found = []
    for one, other in combinations(MEASURES, 2):
        both = table[[one, other]].dropna()
        # Two factors have an order by chance, and a measure that says the same of all has none.
        if len(both) < 3 or (both.nunique() < 2).any():
            continue
        pair = (both[one], both[other])
        found.append(
            {
                "one": one,
                "other": other,
                "factors": len(both),
                "spearman": round(float(scipy.stats.spearmanr(*pair).statistic), 3),
                "kendall": round(float(scipy.stats.kendalltau(*pair).statistic), 3),
            }
        )
    return found


def agreement_sentence(found: list[dict[str, Any]]) -> str:
    """Return the agreement of the measures as people read it; "" where none could be compared.

    >>> agreement_sentence([{"one": "permutation", "other": "occlusion", "factors": 10,
    ...     "spearman": 0.83, "kendall": 0.67}])
    'permutation and occlusion: Spearman 0.83, Kendall 0.67 (10 factors)'
    """
    return "; ".join(
        f"{pair['one']} and {pair['other']}: Spearman {pair['spearman']:.2f},"
        f" Kendall {pair['kendall']:.2f} ({pair['factors']} factors)"
        for pair in found
    )
