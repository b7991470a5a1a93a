"""Functions take paths where they take what a path holds."""

import numpy as np
import pytest
from builders import small_case, small_model, small_scores

import geomfaf as gm
from geomfaf.errors import UsageError


def test_a_model_and_a_stack_are_taken_by_their_paths(tmp_path):
    stack = gm.write_raster(small_case().stack, tmp_path / "stack.tif")
    model = gm.save_model(small_model(), tmp_path / "model")
    found = gm.predict_scores(str(model), stack)
    np.testing.assert_array_equal(found.values, small_scores().values)


def test_a_project_is_run_by_the_path_of_its_file(tmp_path):
    path = gm.write_survey(gm.make_survey("small")[0], tmp_path / "survey.gpkg")
    toml = tmp_path / "geomfaf.toml"
    gm.init_project([path], toml)
    out = gm.run_project(str(toml), until="check")
    assert out == tmp_path / "out"
    assert (out / "check.csv").exists()
    with pytest.raises(UsageError, match="does not exist"):
        gm.run_project(tmp_path / "geomfaf.tom")


def test_a_survey_is_read_by_the_paths_of_its_files(tmp_path):
    survey = gm.make_survey("small")[0]
    whole = gm.write_survey(survey, tmp_path / "survey.gpkg")
    samples = tmp_path / "samples.gpkg"
    deposits = tmp_path / "deposits.gpkg"
    survey.samples.to_file(samples)
    survey.deposits.to_file(deposits)
    for sources in (str(whole), [samples, deposits], {"samples": samples, "deposits": deposits}):
        read = gm.read_survey(sources)
        assert read.samples.geometry.geom_equals(survey.samples.geometry).all()
        assert len(read.deposits) == len(survey.deposits)
