"""Geochemical features against fields, compositions and ratios whose answer is known."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
from test_stack import make_grid, make_survey

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.geochemistry import (
    GeochemistryLayer,
    bandpass,
    robust_components,
    singularity,
)
from geomfaf.evidence.stack import build_stack
from geomfaf.rasters.bands import bands_of, making_of_bands


def lattice(step=100.0, count=41):
    axis = (np.arange(count) - count // 2) * step
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def test_a_bandpass_keeps_a_bump_of_its_size_and_neither_a_trend_nor_the_level():
    xy = lattice()
    middle = len(xy) // 2
    trend = xy[:, 0] / 2000
    assert bandpass(xy, trend + 5, 150, 400)[middle] == pytest.approx(0, abs=1e-9)
    # The mean over a Gaussian of s of a Gaussian bump of b is b^2 / (b^2 + s^2) at its middle.
    bump = np.exp(-0.5 * (xy**2).sum(axis=1) / 300**2)
    expected = 300**2 / (300**2 + 150**2) - 300**2 / (300**2 + 400**2)
    assert bandpass(xy, bump, 150, 400)[middle] == pytest.approx(expected, abs=0.02)
    gap = bump.copy()
    gap[3] = np.nan
    assert np.isnan(bandpass(xy, gap, 150, 400)[3])


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [-0.5, -0.2, 0.0])
def test_the_singularity_index_is_the_exponent_of_a_power_law(exponent):
    xy = lattice(50.0, 81)
    distance = np.maximum(np.hypot(*xy.T), 15.0)
    logs = exponent * np.log10(distance)
    found = singularity(xy, logs, 400, 1900)[len(xy) // 2]
    assert found == pytest.approx(exponent, abs=0.03)


def test_components_are_found_in_spite_of_outliers_and_are_no_matter_of_scale():
    rng = np.random.default_rng(0)
    truth = np.array([2, -1, -1, 0, 0]) / 6**0.5
    logs = truth[:, None] * rng.normal(0, 1, 400) + rng.normal(0, 0.1, (5, 400))
    logs[4, :40] += 20
    scores, loadings = robust_components(logs, 2)
    assert abs(loadings[0] @ truth) > 0.99
    np.testing.assert_allclose(loadings.sum(axis=1), 0, atol=1e-9)
    # The same samples in other units, each with another total.
    again, _ = robust_components(logs + rng.normal(0, 3, 400) + 2.0, 2)
    np.testing.assert_allclose(again[0], scores[0], atol=1e-6)
    logs[2, 7] = np.nan
    assert np.isnan(robust_components(logs, 1)[0][0, 7])
    with pytest.raises(DataError, match="3 elements"):
        robust_components(logs[:2], 1)


def test_features_are_bands_of_the_stack_with_names_that_say_what_they_are():
    survey = make_survey()
    names = ["ratio:Au_ppb/Cu", "bandpass:500-1500", "singularity:600-2000"]
    stack = build_stack(survey, make_grid(), geochemistry=names)
    found = {band.name: band for band in bands_of(stack)}
    assert found["log10_Au_ppb_over_Cu"].kind == "continuous"
    assert {"Cu_bandpass_500_1500_m", "Au_ppb_singularity_600_2000_m"} <= set(found)
    assert making_of_bands(stack)["log10_Au_ppb_over_Cu"]["screened"] == "yes"
    layer = GeochemistryLayer(survey, ["Au_ppb", "Cu"], make_grid(), names[:1])
    row, column = make_grid().rowcol(survey.samples.geometry.x, survey.samples.geometry.y)
    at_samples = layer.block(0, 0, *make_grid().shape)[0][row, column]
    ratio = np.log10(survey.samples["Au_ppb"] / survey.samples["Cu"]).to_numpy()
    np.testing.assert_allclose(at_samples, ratio, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    ["bandpass:1500-500", "bandpass", "singularity:x", "pca:0", "pca", "ratio:Au_ppb/Pb", "clr:3"],
)
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError):
        build_stack(make_survey(), make_grid(), geochemistry=[text])


def test_features_need_positive_values():
    survey = make_survey()
    samples: gpd.GeoDataFrame = survey.samples.copy()
    samples.loc[0, "Cu"] = -1.0
    with pytest.raises(DataError, match="zero or negative"):
        build_stack(
            replace(survey, samples=samples), make_grid(), geochemistry=["bandpass:500-900"]
        )


def test_samples_in_another_zone_than_the_grid_are_refused():
    """Eastings of one zone taken for those of another would move every feature by kilometres."""
    survey = make_survey()
    grid = make_grid()
    moved = replace(survey, samples=survey.samples.to_crs(grid.crs.name.replace("33N", "34N")))
    with pytest.raises(DataError, match="the samples are in WGS 84 / UTM zone 34N, the grid in"):
        GeochemistryLayer(moved, ["Au_ppb", "Cu"], grid, ["ratio:Au_ppb/Cu"])
