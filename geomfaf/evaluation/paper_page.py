"""The figures of an experiment's trainings go in; its table, page and figure come out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..models.network.options import Training
from .paper_methods import METRICS, PROTOCOLS, TABLES, Figures, Method

PROTOCOL_LABELS = {
    "spatial": "here, spatial folds",
    "paper": "here, paper protocol (leaks)",
}
PROTOCOL_COLOURS = {"spatial": "#0072b2", "paper": "#d55e00"}
PROTOCOL_SHIFTS = {"spatial": 0.0, "paper": 0.2}
"""Rows down from the middle of a method's row; the published figure stands above it."""
GREY = "#808080"


def summary(found: pd.DataFrame, methods: Iterable[Method]) -> pd.DataFrame:
    """Return mean and spread over the seeds in percent, and the paper's figures beside them.

    Parameters
    ----------
    found : DataFrame
        One row a training: method, protocol, seed and the window metrics as shares.
    """
    rows = []
    for protocol in PROTOCOLS:
        for method in methods:
            own = found[(found["method"] == method.name) & (found["protocol"] == protocol)]
            row: dict[str, Any] = {
                "method": method.name,
                "protocol": protocol,
                "seeds": len(own),
            }
            # The seeds judge the same windows: the first one's counts are those of all.
            for name in ("windows", "ore_windows"):
                row[name] = int(own[name].iloc[0])
            # One seed has no spread.
            for name, published in zip(METRICS, method.published, strict=True):
                row[name] = 100 * float(own[name].mean())
                row[f"{name}_sd"] = float(100 * own[name].std(ddof=1)) if len(own) > 1 else np.nan
                row[f"{name}_published"] = published
            rows.append(row)
    return pd.DataFrame(rows)


def page(
    table: str,
    result: pd.DataFrame,
    base: Training,
    *,
    computed_in: str,
    quick: bool,
) -> str:
    """Return the page: figures of both protocols beside the paper's, and how far their orders
    agree.

    Parameters
    ----------
    table : str
        Its name in :data:`geomfaf.evaluation.paper_methods.TABLES`.
    result : DataFrame
        See :func:`summary`.
    base : Training
        What the methods have in common.
    computed_in : str
        Type of number of the convolutions.
    quick : bool
        Whether the trainings were too short to say anything.
    """
    title, methods = TABLES[table]
    lines = [
        f"# {title}",
        "",
        "Percent; ours with the standard deviation over the seeds. The paper's survey is not",
        "public: compare orderings and differences between rows, not the figures themselves. The"
        " paper protocol",
        "leaks (balanced before a random split), the spatial one tests on ground that was not"
        " learned from.",
        "",
    ]
    lines += _rows(result, methods)
    lines.append("")
    for protocol in PROTOCOLS:
        lines += _order(result, protocol)
    if quick:
        lines += [
            "",
            "**A quick run**: too short for the larger networks to learn anything; no figure here"
            " is a result.",
        ]
    lines += ["", *_conditions(result, base, computed_in), ""]
    return "\n".join(lines)


def _rows(result: pd.DataFrame, methods: Iterable[Method]) -> list[str]:
    """Return the table of the page, a line a method."""
    lines = [
        f"| method | published ({', '.join(METRICS)}) | spatial folds | paper protocol |",
        "|---|---|---|---|",
    ]
    for method in methods:
        cells = [_cell(result, method.name, protocol) for protocol in PROTOCOLS]
        lines.append(f"| {method.name} | {_published(method.published)} | {' | '.join(cells)} |")
    return lines


def _published(figures: Figures) -> str:
    """Return the paper's figures of a method as they stand in a cell, "-" for none."""
    return " / ".join("-" if np.isnan(value) else f"{value:.2f}" for value in figures)


def _cell(result: pd.DataFrame, method: str, protocol: str) -> str:
    """Return our figures of a method under a protocol, with their spread where there is one."""
    row = result[(result["method"] == method) & (result["protocol"] == protocol)].iloc[0]
    parts = []
    for name in METRICS:
        spread = row[f"{name}_sd"]
        parts.append(f"{row[name]:.1f}" + ("" if np.isnan(spread) else f" ± {spread:.1f}"))
    return " / ".join(parts)


def _order(result: pd.DataFrame, protocol: str) -> list[str]:
    """Say how far our order of the methods is the published one, and by how much each differs from
    the first.
    """
    own = result[(result["protocol"] == protocol) & result["auc_published"].notna()]
    # Ranks that are all tied have no correlation.
    tied = own["auc"].nunique() == 1
    rho = np.nan if tied else own["auc"].corr(own["auc_published"], method="spearman")
    said = "not defined, all are equal" if np.isnan(rho) else f"{rho:+.2f}"
    first = own.iloc[0]
    differences = []
    for row in own.iloc[1:].itertuples():
        ours = row.auc - first.auc
        theirs = row.auc_published - first.auc_published
        differences.append(f"{row.method} {ours:+.1f} ({theirs:+.1f})")
    return [
        f"- {protocol}: rank correlation of the AUCs with the published ones {said}. Difference"
        " in AUC",
        f"  from {first.method}, published in brackets: {', '.join(differences)}.",
    ]


def _conditions(result: pd.DataFrame, base: Training, computed_in: str) -> list[str]:
    """Say how many windows were tested and how the networks were trained."""
    counts = result.groupby("protocol")[["windows", "ore_windows"]].first()
    tested = []
    for protocol, windows, ore in counts.itertuples():
        tested.append(f"{protocol} {int(windows)} ({int(ore)} ore)")
    seeds = int(result["seeds"].iloc[0])
    return [
        f"Windows tested: {', '.join(tested)}. {seeds} seed{'s' if seeds > 1 else ''},"
        f" {base.epochs} epochs,",
        f"{base.optimiser}, learning rate {base.learning_rate:g}, {computed_in}. Recall and F1 of"
        " ore at a score of",
        "0.5; how the paper averaged its F1 is not known. A dilation wider than the window sees"
        " padding only.",
    ]


def draw(table: str, result: pd.DataFrame, path: Path) -> None:
    """Draw the AUC of every method, published and ours, into a PNG."""
    # 1. methods from top to bottom, the published figure above ours
    names = list(dict.fromkeys(result["method"]))
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    first = result[result["protocol"] == PROTOCOLS[0]]
    axes.plot(
        first["auc_published"], rows - 0.2, "D", color=GREY, label="published (another survey)"
    )
    for protocol, label in PROTOCOL_LABELS.items():
        own = result[result["protocol"] == protocol]
        axes.errorbar(
            own["auc"],
            rows + PROTOCOL_SHIFTS[protocol],
            xerr=own["auc_sd"].fillna(0).to_numpy(),
            fmt="o",
            color=PROTOCOL_COLOURS[protocol],
            capsize=3,
            label=label,
        )
    # 2. chance, and axes that hold every figure
    axes.axvline(50, color=GREY, linewidth=1, linestyle=":")
    axes.set(
        yticks=rows,
        yticklabels=names,
        ylim=(len(names) - 0.4, -0.6),
        xlim=(min(45, axes.get_xlim()[0]), 101),
    )
    axes.set_xlabel(
        "AUC of the windows (%); bars: standard deviation over the seeds; dotted: chance"
    )
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_title(TABLES[table][0], fontsize=11)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
