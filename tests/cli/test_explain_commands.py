"""`geomfaf explain` and `geomfaf isolines`: what a run leans on, said from the files of its folder."""

import json

import geopandas as gpd
import pandas as pd
import pytest
from builders import make_grid, make_scores, make_stack, points_in, smooth_noise
from click.testing import CliRunner

from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.targets import make_targets, target_layers, with_factors
from geomfaf.files import write_json, write_table
from geomfaf.rasters.geotiff import write_raster

GRID = make_grid(60, 70)


def said(*words: object):
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with all that the two commands read."""
    out = tmp_path_factory.mktemp("out")
    scores = make_scores(GRID, 1 / (1 + 2.0 ** -smooth_noise(GRID.shape, 1)))
    deposits = points_in(GRID, [10, 40], [20, 50])
    targets = make_targets(scores, deposits, stack=make_stack(GRID), area_share=0.15)
    rows = [(number, "Au", 2.0, 95.0, 0.1 * number) for number in targets["number"]]
    table = pd.DataFrame(rows, columns=["number", "factor", "value", "percentile", "contribution"])
    targets = with_factors(targets, table)
    layers = {**target_layers(targets, scores, deposits, size=8), "target_factors": table}
    write_layers(layers, out / "targets.gpkg")
    write_raster(scores, out / "scores.tif")
    write_raster(make_stack(GRID), out / "stack.tif")
    factors = pd.DataFrame({"factor": ["Au", "Cu"], "permutation": [0.1, 0.02]})
    write_table(factors, out / "factors.csv")
    write_json({"factor_agreement": "permutation and occlusion agree"}, out / "evaluation.json")
    return out, targets


def test_the_whole_map_is_explained(run):
    out, targets = run
    result = said("explain", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == [
        {"factor": "Au", "permutation": 0.1},
        {"factor": "Cu", "permutation": 0.02},
    ]
    assert "permutation and occlusion agree" in result.stderr
    assert f"T1: {targets['why'][0]}" in result.stderr


def test_a_target_is_explained_by_its_name(run):
    out, targets = run
    result = said("explain", out, "T2", "--json")
    assert [row["contribution"] for row in json.loads(result.stdout)] == [pytest.approx(0.2)]
    assert result.stderr.strip() == targets["why"][1]
    wrong = said("explain", out, "T999")
    assert wrong.exit_code == 2
    assert 'has no target "T999"' in wrong.stderr


def test_an_older_run_says_what_it_lacks(run, tmp_path):
    out, _ = run
    for name in ("scores.tif", "stack.tif"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    targets = gpd.read_file(out / "targets.gpkg", layer="targets")
    write_layers({"targets": targets}, tmp_path / "targets.gpkg")
    for words, lacks in (
        ((tmp_path,), "factors.csv"),
        ((tmp_path, "T1"), "factors of its targets"),
    ):
        result = said("explain", *words)
        assert result.exit_code == 2
        assert lacks in result.stderr


def test_isolines_are_drawn_again_with_other_levels(run, tmp_path):
    out, _ = run
    path = tmp_path / "lines.gpkg"
    result = said("isolines", out, "--levels", "1,2", "--element", "Cu", "--out", path)
    assert result.stdout.strip() == str(path)
    lines = gpd.read_file(path, layer="isolines")
    assert set(lines["element"]) == {"Cu"}
    assert lines["value"].tolist() == pytest.approx([1.0, 2.0])
    assert said("isolines", out, "--levels", "a,b").exit_code == 2
    again = said("isolines", out, "--out", path)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


def test_a_target_has_a_sheet_of_its_own(run, tmp_path):
    out, _ = run
    sheet = tmp_path / "T1.html"
    result = said("explain", out, "T1", "--sheet", sheet)
    assert result.exit_code == 0, result.output
    text = sheet.read_text(encoding="utf-8")
    assert "Target T1" in text
    assert "data:image/png;base64," in text
    assert "What each factor adds to its score" in text
    assert "geometry" not in text
    assert "nan" not in text.partition("<h2>")[2]
    assert "http" not in text.replace("http-equiv", "")
    again = said("explain", out, "T1", "--sheet", sheet)
    assert (again.exit_code, "--overwrite" in again.stderr) == (1, True), again.stderr
    assert said("explain", out, "--sheet", tmp_path / "x.html").exit_code == 2
