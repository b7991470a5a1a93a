"""A run's folder and the name of a figure go in; PNG and SVG files come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from matplotlib.figure import Figure

from ...errors import UsageError, nearest_name
from ...files import make_folder
from ..run_folder import RunFolder
from .curves import draw_curves
from .evidence import draw_evidence
from .map_sheet import FORMATS, picture_of, save_figure, save_png
from .maps import draw_cells, draw_geology, draw_targets

Draw = Callable[[RunFolder], Figure]


def draw_run_targets(run: RunFolder) -> Figure:
    """Return the target map; its title says so where the map is no better than chance."""
    return draw_targets(run, supported=run.supported)


def draw_run_evidence(run: RunFolder) -> Figure:
    """Return the panels of evidence with the run's deposits and exploration targets."""
    return draw_evidence(run.stack, deposits=run.deposits, targets=run.targets)


def draw_run_curves(run: RunFolder) -> Figure:
    """Return the curves of all models."""
    curves = run.table("curves.csv").set_index("area")
    return draw_curves(curves, run.table("evaluation.csv"), run.chosen)


FIGURES: dict[str, Draw] = {
    "geology": draw_geology,
    "evidence": draw_run_evidence,
    "targets": draw_run_targets,
    "cells": draw_cells,
    "curves": draw_run_curves,
}


def draw_figures(
    run: RunFolder,
    names: Sequence[str] = tuple(FIGURES),
    *,
    folder: str | Path | None = None,
    formats: Sequence[str] = FORMATS,
    overwrite: bool = False,
) -> list[Path]:
    """Draw figures of a run for print.

    Parameters
    ----------
    run : RunFolder
        From ``read_run``.
    names : sequence of str
        Of ``geology``, ``evidence``, ``targets``, ``cells`` and ``curves``.
    folder : path, optional
        Where the files go; ``figures`` in the run's folder when left out.
    formats : sequence of str
        ``png``, ``svg`` or both.
    """
    # Refused before anything is drawn.
    for name in names:
        if name not in FIGURES:
            raise UsageError(
                f'there is no figure "{name}".{nearest_name(name, FIGURES)} There are:'
                f" {', '.join(FIGURES)}."
            )
    folder = run.path / "figures" if folder is None else Path(folder)
    make_folder(folder)
    made = []
    for name in names:
        figure = FIGURES[name](run)
        # Drawn once, written in each format.
        for kind in formats:
            made.append(save_figure(figure, folder / f"{name}.{kind}", overwrite=overwrite))
    return made


def draw_overview(run: RunFolder) -> None:
    """Draw ``scores.png``, ``stack.png`` and ``curves.png`` into a run's folder."""
    files = {
        "stack.png": "evidence",
        "scores.png": "targets",
        "curves.png": "curves",
    }
    # One thread draws while another packs what it drew.
    with ThreadPoolExecutor(1) as pool:
        saved = []
        for file, name in files.items():
            picture = picture_of(FIGURES[name](run), 150)
            saved.append(pool.submit(save_png, picture, run.path / file, overwrite=True))
    for one in saved:
        one.result()
