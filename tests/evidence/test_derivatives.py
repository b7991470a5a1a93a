"""Derived bands against fields whose derivatives are known in closed form."""

import numpy as np
import pytest
from test_own_rasters import GRID, layer_of, whole, write

from geomfaf.errors import UsageError
from geomfaf.evidence.derivatives import DERIVED, derived_band, parse_derived

SIZE = (120, 160)
CELL = 50.0


def surface(function, cell=100.0):
    """A raster on the grid's own cells, so that nothing is resampled."""
    x, y = np.meshgrid(GRID.x - GRID.x[0], GRID.y - GRID.y[-1])
    return function(x, y).astype(np.float32)


def derived(tmp_path, values, *names, **options):
    path = write(
        tmp_path / "a.tif", values, cell=100.0, west=GRID.bounds[0], north=GRID.bounds[3], **options
    )
    layer = layer_of(path, derive=list(names))
    return whole(layer)[1:]


def inner(values):
    return values[3:-3, 3:-3]


def test_slope_aspect_and_gradient_of_a_tilted_plane(tmp_path):
    pytest.importorskip("xrspatial")
    # It falls to the south-west: aspect 225 degrees, slope atan(0.1 sqrt 2).
    plane = surface(lambda x, y: 0.1 * x + 0.1 * y)
    names = ("slope", "aspect_sin", "aspect_cos", "gradient", "curvature")
    slope, sine, cosine, gradient, curvature = derived(tmp_path, plane, *names)
    np.testing.assert_allclose(inner(slope), np.rad2deg(np.arctan(0.1 * 2**0.5)), rtol=1e-4)
    np.testing.assert_allclose(inner(sine), np.sin(np.deg2rad(225)), rtol=1e-4)
    np.testing.assert_allclose(inner(cosine), np.cos(np.deg2rad(225)), rtol=1e-4)
    np.testing.assert_allclose(inner(gradient), 0.1 * 2**0.5, rtol=1e-4)
    np.testing.assert_allclose(inner(curvature), 0, atol=1e-3)


def test_ruggedness_is_the_spread_of_nine_cells(tmp_path):
    pytest.importorskip("xrspatial")
    values = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    (found,) = derived(tmp_path, values, "ruggedness")
    for row, column in ((5, 7), (20, 33)):
        nine = values[row - 1 : row + 2, column - 1 : column + 2]
        assert found[row, column] == pytest.approx(nine.std(), rel=1e-4)


def test_the_residual_is_what_a_cell_has_over_its_square(tmp_path):
    values = np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32)
    values[10:13, 20:25] = np.nan
    (found,) = derived(tmp_path, values, "residual:2")
    for row, column in ((0, 0), (9, 19), (20, 40)):
        square = values[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        assert found[row, column] == pytest.approx(
            values[row, column] - np.nanmean(square), abs=1e-5
        )
    assert np.isnan(found[10:13, 20:25]).all()


def test_the_ratio_is_to_another_band_of_the_file(tmp_path):
    first = np.full(GRID.shape, 6, np.float32)
    second = np.full(GRID.shape, 3, np.float32)
    second[0, 0] = 0
    (found,) = derived(tmp_path, np.stack([first, second]), "ratio:2")
    assert np.isnan(found[0, 0])
    assert (found.ravel()[1:] == 2).all()


def test_filters_of_potential_fields_on_a_harmonic_field(tmp_path):
    """A wave exp(-k z) sin(k x) decays by exp(-k h) upward and has the vertical derivative -k of it.

    harmonica's derivative is positive upward, so it is -k times the field.
    """
    pytest.importorskip("harmonica")
    wave = 2 * np.pi / 1000.0
    field = surface(lambda x, y: 100 * np.sin(wave * x) + 0 * y)
    names = ("vertical", "upward:100", "analytic_signal", "tilt")
    vertical, upward, signal, tilt = derived(tmp_path, field, *names)
    middle = (slice(10, -10), slice(15, -15))
    np.testing.assert_allclose(vertical[middle], -wave * field[middle], atol=0.06 * wave * 100)
    np.testing.assert_allclose(upward[middle], np.exp(-wave * 100) * field[middle], atol=4)
    np.testing.assert_allclose(signal[middle], wave * 100, rtol=0.15)
    phase = np.rad2deg(
        np.arctan2(vertical[middle], np.abs(wave * 100 * np.cos(np.arcsin(field[middle] / 100))))
    )
    np.testing.assert_allclose(tilt[middle], phase, atol=12)


def test_a_whole_map_filter_keeps_the_gaps(tmp_path):
    pytest.importorskip("harmonica")
    field = surface(lambda x, y: np.sin(x / 300) + np.cos(y / 400))
    field[5:9, 5:9] = np.nan
    (found,) = derived(tmp_path, field, "vertical")
    assert np.isnan(found[5:9, 5:9]).all()
    assert np.isfinite(found).sum() == GRID.size - 16


def test_names_units_and_wrong_numbers():
    assert derived_band("tmi", "nT", "upward", 500.0).label == "tmi, continued 500 m upward (nT)"
    assert derived_band("dem", "m", "slope", None).unit == "degrees"
    assert derived_band("dem", "", "gradient", None).unit == ""
    for text in ("slope:3", "upward:-1", "upward:x"):
        with pytest.raises(UsageError, match="derive"):
            parse_derived(text, "dem")
    assert {name for name in DERIVED if DERIVED[name].whole} == {
        "vertical",
        "tilt",
        "analytic_signal",
        "upward",
    }
