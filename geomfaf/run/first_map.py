"""A first look at the map while its evaluation, most of a run's time, is still to come.

The score map of the first draw and its targets are written under names that say that they are
provisional, and removed when the judged map is there: nobody shall take one for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..deliver.layers import write_layers
from ..deliver.rounding import rounded
from ..deliver.targets import make_targets
from ..progress import say
from ..rasters.bands import with_making
from ..rasters.geotiff import write_raster
from .results import Results
from .usual_times import usual_seconds

SCORES = "provisional_scores.tif"
TARGETS = "provisional_targets.gpkg"
LEFT = ("evaluate", "factors", "targets", "isolines", "report")
"""Stages that are still to come."""

NOTE = (
    "provisional: of the first draw of barren windows alone, not judged on unseen ground yet; the"
    " evaluation decides whose map is written"
)


@contextmanager
def first_map(run: Results) -> Iterator[None]:
    """Write the first map; it is gone when the block ends well, and stays when it is interrupted."""
    _write(run)
    cells = run.grid.height * run.grid.width
    seconds = sum(usual_seconds(stage, cells) for stage in LEFT)
    # A quick look judges a small part of what these seconds are for.
    long = "" if run.project.quick else f", about {max(1, round(seconds / 60))} min"
    say(f"a first look: {SCORES} and {TARGETS} ({NOTE}). Still to come: {', '.join(LEFT)}{long}")
    yield
    for name in (SCORES, TARGETS):
        (run.out / name).unlink(missing_ok=True)


def _write(run: Results) -> None:
    """Write the score map of the trained model and its targets, without what factors weigh."""
    survey = run.survey
    scores = run.prediction
    names = [str(name) for name in scores["band"].values]
    marked = with_making(scores, {name: {"provisional": NOTE} for name in names})
    write_raster(marked, run.out / SCORES, overwrite=True)
    found = make_targets(
        scores,
        survey.deposits,
        stack=run.stack,
        samples=survey.samples,
        faults=survey.faults,
        size=int(run.tables[0]["size"].iloc[0]),
        **run.project.stage("targets"),
    )
    # One more column than the final targets have, so that a copy says it too.
    layers = {"provisional_targets": rounded(found.assign(provisional=NOTE))}
    write_layers(layers, run.out / TARGETS, overwrite=True)
