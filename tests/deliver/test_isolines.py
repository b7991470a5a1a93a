"""Isolines lie where the value is, classes cover what they say, and breaks are those of a known
curve.
"""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import make_grid, make_stack, smooth_noise

from geomfaf.deliver.concentration_area import concentration_area
from geomfaf.deliver.isolines import (
    METHODS,
    PERCENTILES,
    _large_lines,
    anomaly_classes,
    element_bands,
    isolines,
    surface_of,
    write_isolines,
)
from geomfaf.errors import OutputExistsError, UsageError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.geotiff import write_raster

GRID = make_grid(90, 110)


def cone(log: bool = True):
    """Values that fall with the distance from the middle cell: isolines are circles."""
    x, y = np.meshgrid(GRID.x, GRID.y)
    distance = np.hypot(x - GRID.x[55], y - GRID.y[45])
    values = 10 ** (3 - distance / 2000) if log else 3 - distance / 2000
    band = Band("Au_ppb", "element" if log else "ratio", "ppb?")
    return as_dataarray(values[None], GRID, [band]), distance


@pytest.mark.parametrize("log", [True, False])
def test_isolines_are_where_the_value_is(log):
    stack, _ = cone(log)
    level = 10**1.5 if log else 1.5
    lines = isolines(stack, levels=[level])
    assert lines[["element", "unit"]].values.tolist() == [["Au", "ppb"]]
    assert lines["value"].item() == pytest.approx(level)
    middle = shapely.Point(GRID.x[55], GRID.y[45])
    corners = shapely.get_coordinates(lines.geometry[0])
    radius = np.hypot(*(corners - [middle.x, middle.y]).T)
    np.testing.assert_allclose(radius, 3000, atol=GRID.cell)
    assert lines.crs == GRID.crs


def test_percentiles_are_those_of_the_ground():
    stack, _ = cone()
    lines = isolines(stack)
    np.testing.assert_allclose(lines["percentile"], PERCENTILES, atol=0.1)
    values = stack.values[0]
    for line in lines.itertuples():
        assert 100 * (values < line.value).mean() == pytest.approx(line.percentile, abs=1.0)
    assert lines["class"].tolist() == ["above 75 %", "above 90 %", "above 97.5 %"]


def test_round_levels_are_round():
    lines = isolines(cone()[0], levels="round")
    assert {f"{value:g}"[0] for value in lines["value"]} <= {"1", "2", "5"}
    assert lines["value"].is_monotonic_increasing


def test_specks_are_left_out():
    field = smooth_noise(GRID.shape, 1, 2.0)
    stack = as_dataarray(10 ** field[None], GRID, [Band("Au")])
    every, large = (isolines(stack, levels=[10.0], least_km2=least) for least in (0.0, 0.5))
    count = [len(shapely.get_parts(lines.geometry[0])) for lines in (every, large)]
    assert count[0] > count[1] > 0
    for line in shapely.get_parts(large.geometry[0]):
        assert not line.is_closed or shapely.Polygon(line).area >= 0.5e6
    pieces = shapely.get_parts(anomaly_classes(stack, least_km2=0.5).geometry.to_numpy())
    assert shapely.area(pieces).min() >= 0.5e6 - 1


@pytest.mark.parametrize("method", METHODS)
def test_classes_hold_the_ground_between_their_ends(method):
    stack = make_stack(GRID, 5)
    stack.values[:, :30, :40] = np.nan
    classes = anomaly_classes(stack, methods=[method])
    assert classes.is_valid.all()
    assert set(classes["method"]) == {method}
    x, y = GRID.xy(*np.indices(GRID.shape))
    for band in element_bands(stack):
        surface = surface_of(stack, band)
        values = surface.values if not surface.log else 10**surface.values
        own = classes[classes["element"] == band.name]
        assert own["class"].tolist() == list(range(1, len(own) + 1))
        for row in own.itertuples():
            inside = shapely.contains_xy(row.geometry, x, y)
            upper = np.inf if np.isnan(row.upper) else row.upper
            there = (values >= row.lower) & (values < upper)
            # Edge cells may be cut off where nodata begins.
            assert (inside & ~there).sum() <= 0.02 * there.sum() + 2
            assert not inside[:30, :40].any()
            assert row.area_km2 == pytest.approx(row.geometry.area / 1e6)
        for one, other in zip(own.geometry, own.geometry[1:], strict=False):
            assert one.intersection(other).area < 1


def test_the_ends_of_mad_classes_are_median_and_robust_deviations():
    stack = make_stack(GRID, 6)
    surface = surface_of(stack, element_bands(stack)[0])
    known = surface.known
    robust = 1.4826 * np.median(np.abs(known - np.median(known)))
    own = anomaly_classes(stack, methods=["mad"])
    own = own[own["element"] == "Au"]
    expected = 10 ** (np.median(known) + np.arange(1, len(own) + 1) * robust)
    np.testing.assert_allclose(own["lower"], expected)


def test_breaks_are_found_where_a_known_curve_breaks():
    """Values whose area falls with slopes 1 and 4 on log-log paper, breaking at 10^1."""
    share = np.linspace(1, 1e-4, 200_000)
    values = np.where(share > 0.1, -np.log10(share), 1 + (-1 - np.log10(share)) / 4)
    at, area, breaks = concentration_area(values)
    assert breaks == pytest.approx([1.0], abs=0.03)
    expected = np.where(at < 1, -at, -1 - 4 * (at - 1))
    np.testing.assert_allclose(area, expected, atol=0.05)
    straight = -np.log10(share)
    assert len(concentration_area(straight)[2]) == 0
    assert len(concentration_area(np.ones(50))[2]) == 0


def test_large_maps_are_made_coarser_and_stay_in_place():
    grid = make_grid(1000, 820, 10.0)
    x, _ = np.meshgrid(grid.x, grid.y)
    stack = as_dataarray((x - grid.x.min() + 100.0)[None], grid, [Band("Au", "ratio")])
    surface = surface_of(stack, element_bands(stack)[0])
    assert max(surface.values.shape) <= 400
    inner = surface.values[5:-5, 5:-5]
    expected = np.broadcast_to(surface.x[5:-5] - grid.x.min() + 100, inner.shape)
    np.testing.assert_allclose(inner, expected, atol=0.01)
    assert surface.y[0] > surface.y[-1]


def test_the_file_of_a_run_holds_both_layers(tmp_path):
    write_raster(make_stack(GRID, 2), tmp_path / "stack.tif")
    path = write_isolines(tmp_path, elements=["Cu"])
    assert set(gpd.read_file(path, layer="isolines")["element"]) == {"Cu"}
    assert set(gpd.read_file(path, layer="anomalies")["method"]) == set(METHODS)
    assert (tmp_path / "concentration_area.png").stat().st_size > 10_000
    with pytest.raises(OutputExistsError):
        write_isolines(tmp_path)


def test_what_cannot_be_drawn_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"holds no stack\.tif"):
        write_isolines(tmp_path)
    write_raster(make_stack(GRID).sel(band=["geology"]), tmp_path / "stack.tif")
    assert write_isolines(tmp_path) is None
    with pytest.raises(UsageError, match='no band maps "Ag"'):
        write_isolines(tmp_path, elements=["Ag"])
    stack = cone()[0]
    with pytest.raises(UsageError, match='levels = "rnd"'):
        isolines(stack, levels="rnd")
    with pytest.raises(UsageError, match="must be above 0"):
        isolines(stack, levels=[0.0])
    with pytest.raises(UsageError, match='method "x"'):
        anomaly_classes(stack, methods=["x"])
    flat = as_dataarray(np.ones((1, *GRID.shape)), GRID, [Band("Au")])
    assert len(isolines(flat)) == len(anomaly_classes(flat)) == 0


def test_rings_of_flat_ground_are_no_lines():
    """Contours of ground where many cells have one value: rings of one place, and of two."""
    one_place = np.full((5, 2), 7.0)
    there_and_back = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 0.0]])
    square = np.array([[5e5, 6e6], [501e3, 6e6], [501e3, 6001e3], [5e5, 6001e3], [5e5, 6e6]])
    kept = _large_lines([one_place, there_and_back, square, one_place[:1]], least_km2=0.9999)
    assert [line.length for line in kept] == [4000]
    assert _large_lines([square], least_km2=1.0001) == []
    assert _large_lines([one_place], least_km2=0.0) == []
