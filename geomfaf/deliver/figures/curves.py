"""Prediction-rate curves: of all models for a reader who compares, of one with its band for one who
decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .area_shares import SHARES
from .evidence import Shade, class_colours

INK = "#08306b"
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)))


def draw_curves(curves: pd.DataFrame, evaluation: pd.DataFrame, chosen: str) -> Figure:
    """Return the curves of all models, over the whole area and over its best fifth.

    Parameters
    ----------
    curves : DataFrame
        Share of the deposits by share of the area (index, 0 to 1), a column a model.
    evaluation : DataFrame
        As of ``evaluation.csv``.
    chosen : str
        The model whose curve stands out.
    """
    figures = _map_figures(evaluation)
    # Best first, in the legend as in the colours.
    order = list(figures["map_auc"].sort_values(ascending=False).index)
    deposits = int(figures["deposits"].iloc[0])
    figure = Figure(figsize=(11.5, 4.8))
    FigureCanvasAgg(figure)
    colours = class_colours(len(order))
    for number, most in enumerate((100, 20), start=1):
        left = 0.055 + 0.402 * (number - 1)
        axes = figure.add_axes((left, 0.11, 0.335, 0.78))
        # Lines differ in dashes too: ten colours are too many for some eyes.
        for place, name in enumerate(order):
            strong = name == chosen
            axes.plot(
                100 * curves.index,
                100 * curves[name],
                color="black" if strong else darker(colours[place]),
                linestyle="-" if strong else DASHES[place % len(DASHES)],
                linewidth=2.4 if strong else 1.2,
                zorder=3 if strong else 2,
                label=f"{name}, {figures.loc[name, 'map_auc']:.3f}",
            )
        # The upright axis ends a little above the highest curve in sight.
        shown = curves.index <= most / 100 + 1e-9
        highest = 108 * curves.loc[shown, order].to_numpy().max()
        _frame(axes, most, min(100, highest), deposits)
    axes.legend(
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        title="model, map AUC",
    )
    figure.text(
        0.055,
        0.94,
        f"Prediction-rate curves: {deposits} deposits, each judged by models that never saw its"
        " ground",
        fontsize=11,
    )
    return figure


def draw_one_curve(curves: pd.DataFrame, evaluation: pd.DataFrame, chosen: str) -> Figure:
    """Return the curve of one model with the 95 % intervals of its captures, and chance."""
    row: dict[Any, Any] = _map_figures(evaluation).loc[chosen].to_dict()
    deposits = int(row["deposits"])
    figure = Figure(figsize=(6.4, 4.2))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.84))
    # Intervals are known at five shares; the band joins them.
    shares = [0, *SHARES]
    low = [0.0, *(100 * row[f"capture_{share}_low"] for share in SHARES)]
    high = [0.0, *(100 * row[f"capture_{share}_high"] for share in SHARES)]
    band = axes.fill_between(shares, low, high, color=INK, alpha=0.15)
    band.set(linewidth=0, label="95 % interval")
    captured = 100 * curves[chosen]
    axes.plot(100 * curves.index, captured, color=INK, linewidth=2, label=chosen)
    # The shares that the text speaks of.
    for share in SHARES:
        found = 100 * row[f"capture_{share}"]
        axes.plot(share, found, "o", color=INK, markersize=4)
        axes.annotate(
            f"{row[f'capture_{share}'] * deposits:.0f}",
            (share, found),
            xytext=(-4, 4),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    _frame(axes, 30, 100, deposits)
    axes.legend(fontsize=8, loc="lower right", frameon=False)
    return figure


def _frame(
    axes: Axes,
    most: float,
    highest: float,
    deposits: int,
) -> None:
    chance = np.array([0, 100])
    axes.plot(
        chance,
        chance,
        ":",
        color="#808080",
        linewidth=1,
        label="chance, 0.500",
    )
    # Both in percent, of ground and of deposits: a map without skill lies on the diagonal.
    axes.set(xlim=(0, most), ylim=(0, highest))
    axes.set_xlabel("Share of the valid area, best ground first (%)")
    axes.set_ylabel(f"Share of the {deposits} held-out deposits (%)")
    axes.grid(color="#dddddd", linewidth=0.6)


def darker(colour: Shade) -> Shade:
    """Return a shade that a thin line shows on white."""
    red, green, blue = colour
    return 0.75 * red, 0.75 * green, 0.75 * blue


def _map_figures(evaluation: pd.DataFrame) -> pd.DataFrame:
    return evaluation[evaluation["map_auc"].notna()].set_index("model")
