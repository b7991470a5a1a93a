"""The name of a stage and the size of a grid go in; how long it usually takes comes out."""

from __future__ import annotations

CELLS = 640_000
"""Cells of the survey of `geomfaf demo`, at which the seconds below were taken."""

SECONDS = {
    "check": 0.5,
    "folds": 2.2,
    "screen": 0.2,
    "stack": 12.0,
    "train": 15.0,
    "predict": 55.0,
    "evaluate": 175.0,
    "factors": 15.0,
    "targets": 2.5,
    "isolines": 3.5,
    "report": 6.0,
}
"""What run.json of `geomfaf demo` says on two cores; a run that was made here says better."""


def usual_seconds(stage: str, cells: int) -> float:
    """Return how many seconds a stage takes on a grid of so many cells, on two cores.

    >>> usual_seconds("report", 1_280_000)
    12.0
    """
    return SECONDS.get(stage, 1.0) * max(cells / CELLS, 0.05)
