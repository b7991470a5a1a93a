"""Surveys of agencies run as they come, from the file that `geomfaf init` makes of them."""

import pytest
from conftest import AREAS
from projects import RUN_FOLDER, prepare

from geomfaf.run.run import run_project

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_trees")]


@pytest.mark.skipif(not AREAS.is_dir(), reason="the real areas are not beside this checkout")
@pytest.mark.parametrize(
    ("area", "cell", "words"),
    [
        ("clb_finland", 400, ["zero = below detection", "92.2 %", "outside the study area"]),
        ("mtpainter_sa", 400, ["missing", "several rows at one place"]),
        (
            "murchison_wa",
            2000,
            ["92 rows at 23 places", "23 sampled places", "negative = below detection"],
        ),
    ],
)
def test_real_areas_run_without_edits(tmp_path, area, cell, words):
    quick = {"train__least_steps": 10, "evaluate__draws": 1, "evaluate__optimism": "[]"}
    out = run_project(prepare(tmp_path, AREAS / f"{area}.gpkg", cell=cell, **quick))
    for name in RUN_FOLDER:
        assert (out / name).stat().st_size > 0, name
    text = (out / "summary.md").read_text()
    for word in words:
        assert word in text
