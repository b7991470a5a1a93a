"""Rasters of any grid, CRS and kind come onto the run's grid with the right values in the right places."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from test_stack import make_grid, make_survey

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.geology import AreaLayer
from geomfaf.evidence.own_rasters import RasterLayer, RasterSource, raster_findings
from geomfaf.evidence.stack import build_stack, stack_to_file
from geomfaf.rasters.bands import bands_of, making_of_bands
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid
from geomfaf.run.project import load_project
from geomfaf.run.steps import bands_in_folds, own_sources, screened_bands, stack_choices
from geomfaf.run.template import init_project
from geomfaf.synthetic import write_survey

UTM = CRS.from_epsg(32633)
GRID = Grid.from_bounds((500_000, 5_500_000, 506_000, 5_504_000), 100, UTM)


def write(path, values, *, cell=50.0, west=499_000.0, north=5_505_000.0, crs=32633, **profile):
    """Write (bands, y, x) or (y, x) with pixels of a size and a north-west corner."""
    values = np.atleast_3d(np.asarray(values).T).T if values.ndim == 2 else values
    colours = profile.pop("colours", None)
    options = {
        "driver": "GTiff",
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "crs": f"EPSG:{crs}" if crs else None,
        "transform": Affine(cell, 0, west, 0, -cell, north),
    }
    with rasterio.open(path, "w", **{**options, **profile}) as target:
        target.write(values)
        if colours:
            target.colorinterp = colours
    return path


def plane(cell=50.0, west=499_000.0, north=5_505_000.0, shape=(120, 160)):
    """Values that are the easting plus twice the northing of the pixel centres, in km."""
    x = west + (np.arange(shape[1]) + 0.5) * cell
    y = north - (np.arange(shape[0]) + 0.5) * cell
    return ((x[None, :] + 2 * y[:, None]) / 1e3).astype(np.float32)


def expected_plane(grid):
    return (grid.x[None, :] + 2 * grid.y[:, None]) / 1e3


def layer_of(path, grid=GRID, **options):
    return RasterLayer(RasterSource(path, "r", **options), grid)


def whole(layer):
    return layer.block(0, 0, *layer.grid.shape)


# --- values in their places


@pytest.mark.parametrize("cell", [20.0, 50.0, 70.0, 100.0, 130.0, 230.0])
def test_a_plane_stays_the_plane_at_any_pixel_size(tmp_path, cell):
    shape = (int(6_000 / cell), int(8_000 / cell))
    layer = layer_of(write(tmp_path / "a.tif", plane(cell, shape=shape), cell=cell))
    # Averages of whole pixels are exact; pixels cut by a cell's edge move the mean a little.
    tolerance = 1e-3 if 100 % cell == 0 or cell > 100 else 0.6 * cell / 1e3
    np.testing.assert_allclose(whole(layer)[0], expected_plane(GRID), atol=tolerance)


def test_a_raster_in_degrees_lands_on_its_ground(tmp_path):
    to_metres = Transformer.from_crs(4326, UTM, always_xy=True)
    step = 0.0005
    lon = 14.98 + (np.arange(260) + 0.5) * step
    lat = 49.70 - (np.arange(180) + 0.5) * step
    x, y = to_metres.transform(*np.meshgrid(lon, lat))
    values = ((x + 2 * y) / 1e3).astype(np.float32)
    path = write(tmp_path / "deg.tif", values, cell=step, west=14.98, north=49.70, crs=4326)
    found = whole(layer_of(path))[0]
    known = np.isfinite(found)
    assert known.mean() > 0.9
    np.testing.assert_allclose(found[known], expected_plane(GRID)[known], atol=0.06)


@pytest.fixture(scope="module")
def gappy(tmp_path_factory):
    """A raster with a gap and two derived bands, and all of it with a margin."""
    values = np.random.default_rng(0).normal(size=(120, 160)).astype(np.float32)
    values[40:60, 50:90] = np.nan
    path = write(tmp_path_factory.mktemp("r") / "a.tif", values, cell=47.0)
    layer = layer_of(path, derive=["residual:3", "gradient"])
    return layer, layer.block(-140, -140, 360, 380)


@given(
    row=st.integers(-140, 60),
    column=st.integers(-140, 80),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
)
@settings(max_examples=15, deadline=None)
def test_a_window_has_the_bits_of_the_whole(gappy, row, column, height, width):
    layer, wide = gappy
    assert wide.shape[0] == 3
    part = layer.block(row, column, height, width)
    top = row + 140
    left = column + 140
    np.testing.assert_array_equal(part, wide[:, top : top + height, left : left + width])


def test_cells_average_their_pixels_and_classes_take_the_commonest(tmp_path):
    rng = np.random.default_rng(1)
    fine = rng.integers(1, 4, (240, 320)).astype(np.uint8)
    path = write(tmp_path / "fine.tif", fine, cell=25.0)
    blocks = fine[40:200, 40:280].reshape(40, 4, 60, 4).transpose(0, 2, 1, 3).reshape(40, 60, 16)
    mean = whole(layer_of(path))[0]
    np.testing.assert_allclose(mean, blocks.mean(axis=2), rtol=1e-6)
    classes = whole(layer_of(path, kind="class"))[0]
    counts = np.stack([(blocks == number).sum(axis=2) for number in (1, 2, 3)], axis=2)
    chosen = np.take_along_axis(counts, (classes.astype(int) - 1)[..., None], axis=2)[..., 0]
    np.testing.assert_array_equal(chosen, counts.max(axis=2))


def test_angles_are_averaged_as_vectors(tmp_path):
    angles = np.tile(np.array([350.0, 10.0], np.float32), (120, 80))
    sine, cosine = whole(layer_of(write(tmp_path / "a.tif", angles), kind="angle"))
    np.testing.assert_allclose(sine, 0, atol=1e-6)
    np.testing.assert_allclose(cosine, np.cos(np.deg2rad(10)), rtol=1e-6)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("log", np.log10(50.0)), ("signed-log", np.log10(51.0)), ("linear", 50.0)],
)
def test_scales(tmp_path, scale, expected):
    values = np.full((120, 160), 50.0, np.float32)
    found = whole(layer_of(write(tmp_path / "a.tif", values), scale=scale))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_scale_and_offset_of_the_file_are_applied(tmp_path):
    path = write(tmp_path / "a.tif", np.full((120, 160), 7, np.int16))
    with rasterio.open(path, "r+") as file:
        file.scales = (0.5,)
        file.offsets = (100.0,)
    layer = layer_of(path)
    np.testing.assert_array_equal(whole(layer)[0], 103.5)
    rules = [finding.rule for finding in raster_findings(layer, area())]
    assert rules == ["scale and offset of the file"]


# --- no value


def area():
    return AreaLayer(make_survey().study_area, GRID)


@pytest.mark.parametrize("code", [-99999.0, 1e30, -3.4e38, -9999.0, np.nan])
def test_codes_for_no_value_never_enter_an_average(tmp_path, code):
    values = plane()
    values[50:70, 60:100] = code
    layer = layer_of(write(tmp_path / "a.tif", values))
    found = whole(layer)[0]
    gap = np.isnan(found)
    assert gap[16:24, 21:39].all()
    assert 0 < gap.mean() < 0.2
    np.testing.assert_allclose(found[~gap], expected_plane(GRID)[~gap], atol=0.08)


def test_a_value_of_the_data_that_looks_like_a_code_stays(tmp_path):
    values = np.linspace(-12_000, 4_000, 120 * 160).reshape(120, 160).astype(np.float32)
    values[:, ::2] = -9999.0
    layer = layer_of(write(tmp_path / "a.tif", values))
    assert not layer.file.codes
    assert np.isfinite(whole(layer)).all()


def test_a_declared_code_is_kept_and_one_given_too(tmp_path):
    values = plane()
    values[:, :70] = 0
    for options, profile in (({}, {"nodata": 0}), ({"nodata": 0.0}, {})):
        found = whole(layer_of(write(tmp_path / "a.tif", values, **profile), **options))[0]
        assert np.isnan(found[:, :25]).all()
        assert np.isfinite(found[:, 26:]).all()


def test_the_share_that_a_raster_covers_is_said_and_its_gap_stays(tmp_path):
    half = write(tmp_path / "half.tif", plane(shape=(120, 80)))
    layer = layer_of(half)
    (finding,) = raster_findings(layer, area())
    assert finding.rule == "covers a part"
    assert "50%" in finding.done
    found = whole(layer)[0]
    assert np.isfinite(found[:, :30]).all()
    assert np.isnan(found[:, 30:]).all()
    away = write(tmp_path / "away.tif", plane(west=700_000), west=700_000)
    with pytest.raises(DataError, match="misses the study area"):
        build_stack(make_survey(), make_grid(), rasters=[RasterSource(away, "away")])


# --- what is refused


def test_pictures_palettes_and_files_without_crs_are_refused(tmp_path):
    red, green, blue = (
        rasterio.enums.ColorInterp.red,
        rasterio.enums.ColorInterp.green,
        rasterio.enums.ColorInterp.blue,
    )
    picture = np.zeros((3, 20, 20), np.uint8)
    path = write(tmp_path / "p.tif", picture, colours=(red, green, blue), photometric="RGB")
    with pytest.raises(DataError, match="is a picture"):
        layer_of(path)
    one = np.ones((20, 20), np.uint8)
    path = write(tmp_path / "c.tif", one, colours=(rasterio.enums.ColorInterp.palette,))
    with pytest.raises(DataError, match='kind = "class"'):
        layer_of(path)
    with pytest.raises(DataError, match="has no CRS"):
        layer_of(write(tmp_path / "n.tif", plane(), crs=None))
    placed = layer_of(write(tmp_path / "n.tif", plane(), crs=None), crs="EPSG:32633")
    np.testing.assert_allclose(whole(placed)[0], expected_plane(GRID), atol=1e-3)
    with pytest.raises(UsageError, match="does not exist"):
        layer_of(tmp_path / "none.tif")
    with pytest.raises(UsageError, match="bands 1 to 1, not 2"):
        layer_of(write(tmp_path / "a.tif", plane()), band=2)
    with pytest.raises(DataError, match="classes are at most"):
        layer_of(write(tmp_path / "a.tif", plane()), kind="class")
    with pytest.raises(UsageError, match='kind "number" is unknown'):
        RasterSource("a.tif", "a", kind="number")
    with pytest.raises(UsageError, match="derive"):
        RasterSource("a.tif", "a", derive=["slop"])


@pytest.mark.parametrize("derived", ["slope", "gradient", "vertical", "ruggedness", "residual:2"])
def test_slopes_need_square_cells(tmp_path, derived):
    wide = Grid(GRID.crs, GRID.transform @ Affine.scale(2, 1), (GRID.height, GRID.width // 2))
    path = write(tmp_path / "a.tif", plane())
    if derived in ("ruggedness", "residual:2"):
        assert whole(layer_of(path, wide, derive=[derived])).shape == (2, *wide.shape)
        return
    with pytest.raises(
        UsageError, match="needs square cells, and those of the grid are 200 x 100 m"
    ):
        layer_of(path, wide, derive=[derived])


# --- in the stack


def test_rasters_are_bands_of_the_stack_in_memory_and_in_a_file(tmp_path):
    sources = [
        RasterSource(
            write(tmp_path / "a.tif", plane()), "magnetics", unit="nT", derive=["residual"]
        ),
        RasterSource(
            write(tmp_path / "b.tif", (plane() % 3 + 1).astype(np.uint8)), "units", kind="class"
        ),
    ]
    survey = make_survey()
    stack = build_stack(survey, make_grid(), rasters=sources)
    kinds = {band.name: band.kind for band in bands_of(stack)}
    assert kinds["magnetics"] == kinds["magnetics_residual_10"] == "continuous"
    assert kinds["units"] == "class"
    assert "element" not in {kinds[name] for name in list(kinds)[-3:]}
    path = stack_to_file(survey, make_grid(), tmp_path / "stack.tif", rasters=sources)
    again = read_raster(path)
    np.testing.assert_array_equal(again.values, stack.values)
    assert making_of_bands(again)["magnetics"]["raster_resampling"] == "average"


def test_rasters_among_the_files_of_init_become_tables_and_pictures_are_left_out(tmp_path):
    survey = make_survey()
    write_survey(survey, tmp_path / "survey.gpkg")
    write(tmp_path / "tmi.tif", plane())
    write(tmp_path / "photo.tif", np.zeros((3, 20, 20), np.uint8), photometric="RGB")
    files = [tmp_path / name for name in ("survey.gpkg", "tmi.tif", "photo.tif")]
    said = "\n".join(init_project(files, tmp_path / "geomfaf.toml"))
    assert "raster: tmi.tif, continuous" in said
    assert "not used: photo.tif" in said
    project = load_project(tmp_path / "geomfaf.toml")
    (source,) = own_sources(project, "rasters", RasterSource)
    assert (source.name, source.kind, Path(source.path).name) == ("tmi", "continuous", "tmi.tif")


def test_a_project_hands_its_tables_to_the_stack(tmp_path):
    write(tmp_path / "tmi.tif", plane())
    text = """
    [samples]
    path = "survey.gpkg"
    [[rasters]]
    path = "tmi.tif"
    name = "tmi"
    derive = ["residual:5"]
    [[proximity]]
    path = "survey.gpkg"
    layer = "geology"
    name = "north"
    where = "rock = 'north'"
    [structure]
    bands = ["contact_distance"]
    """
    (tmp_path / "geomfaf.toml").write_text(text)
    survey = make_survey()
    write_survey(survey, tmp_path / "survey.gpkg")
    project = load_project(tmp_path / "geomfaf.toml")
    stack = build_stack(survey, make_grid(), **stack_choices(project, survey))
    own = ["tmi", "tmi_residual_5", "north", "contact_distance"]
    assert screened_bands(stack) == own
    assert bands_in_folds(stack, [["Cu", "tmi"], []]) == [
        ["Cu", "geology", "fault_distance", "tmi"],
        ["geology", "fault_distance"],
    ]
    (tmp_path / "geomfaf.toml").write_text("[[rasters]]\nname = 'tmi'\n")
    with pytest.raises(UsageError, match="needs path"):
        own_sources(load_project(tmp_path / "geomfaf.toml"), "rasters", RasterSource)
