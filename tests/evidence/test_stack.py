"""The stack: every layer on one grid, each where it belongs, and nothing where the survey does not
reach.
"""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from shapely import LineString, Point, box

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.faults import fault_distance
from geomfaf.evidence.geology import rasterize_geology
from geomfaf.evidence.inverse_distance import idw_grid
from geomfaf.evidence.stack import UNMAPPED, build_stack, stack_to_file, survey_grid
from geomfaf.rasters.bands import bands_of, grid_of, valid_cells
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.rasters.grid import Grid
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.survey.read import read_survey
from geomfaf.survey.survey import Source, Survey, study_area_of_samples

UTM = 32633
WEST, SOUTH, EAST, NORTH = 500_000, 5_500_000, 506_000, 5_504_000
CELL = 100.0


def frame(shapes, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=UTM).assign(**columns)


def make_survey(**changes):
    """A survey whose Cu is the northing and whose faults, geology and study area have
    plain shapes.
    """
    axes = np.meshgrid(np.arange(WEST + 50, EAST, 500.0), np.arange(SOUTH + 50, NORTH, 500.0))
    x, y = (axis.ravel() for axis in axes)
    samples = frame(
        shapely.points(x, y), Cu=y - SOUTH, Au_ppb=np.random.default_rng(0).lognormal(0, 1, len(x))
    )
    middle = (SOUTH + NORTH) / 2
    survey = Survey(
        samples=samples,
        deposits=frame([Point(WEST + 1000, SOUTH + 1000), Point(EAST - 1000, NORTH - 1000)]),
        geology=frame(
            [box(WEST, middle, EAST, NORTH), box(WEST, SOUTH, EAST, middle)],
            rock=["north", "a south"],
        ),
        faults=frame([LineString([(WEST - 9000, NORTH), (EAST + 9000, NORTH)])]),
        study_area=frame([box(WEST, SOUTH, EAST, NORTH)]),
        elements={"Cu": "ppm", "Au_ppb": "ppb"},
        geology_column="rock",
    )
    return replace(survey, **changes)


def make_grid(survey=None):
    return survey_grid(survey or make_survey(), CELL)


@pytest.fixture(scope="module")
def stack():
    return build_stack(make_survey(), make_grid())


def names(array):
    return [band.name for band in bands_of(array)]


# --- what is in it
# ---------------------------------------------------------------------------------------------------


def test_the_bands_are_elements_geology_and_faults_and_never_the_deposits(stack):
    assert names(stack) == ["Cu", "Au_ppb", "geology", "fault_distance"]
    assert [band.kind for band in bands_of(stack)] == ["element", "element", "class", "distance"]
    assert [band.unit for band in bands_of(stack)] == ["ppm", "ppb", "", "m"]
    assert [band.description for band in bands_of(stack)] == [
        "Cu (ppm), IDW of log10", "Au (ppb), IDW of log10", "Geology (rock)", "Distance to nearest fault (m)",
    ]  # fmt: skip
    assert stack.dims == ("band", "y", "x")
    assert stack.dtype == np.float32
    elsewhere = make_survey(deposits=frame([Point(WEST + 3000, SOUTH + 3000)]))
    xr.testing.assert_identical(build_stack(elsewhere, make_grid()), stack)


def test_each_band_is_what_its_own_function_makes(stack):
    survey, grid = make_survey(), make_grid()
    elements = idw_grid(survey.samples, ["Cu", "Au_ppb"], grid, scale="log")
    assert np.array_equal(stack.values[:2], elements.values)
    classes, legend = rasterize_geology(survey.geology, "rock", grid)
    assert np.array_equal(stack.values[2], classes)
    assert bands_of(stack)[2].legend == legend == {1: "a south", 2: "north"}
    assert np.array_equal(stack.values[3], fault_distance(survey.faults, grid))


def test_everything_is_north_up(stack):
    assert grid_of(stack).bounds == (WEST, SOUTH, EAST, NORTH)
    copper, geology, fault = stack.sel(band=["Cu", "geology", "fault_distance"]).values
    assert copper[4::5, 0] == pytest.approx(
        np.arange(3550, 0, -500)
    )  # the rows of samples, from north to south
    assert (geology[:20] == 2).all()
    assert (geology[20:] == 1).all()
    assert fault[:, 7].tolist() == np.arange(50, 4000, 100).tolist()


def test_a_sample_at_a_cell_centre_comes_back(stack):
    samples = make_survey().samples
    rows, cols = grid_of(stack).rowcol(samples.geometry.x, samples.geometry.y)
    for column in ("Cu", "Au_ppb"):
        np.testing.assert_allclose(
            stack.sel(band=column).values[rows, cols], samples[column], rtol=1e-6
        )


def test_options_reach_the_gridding():
    survey, grid = make_survey(), make_grid()
    options = {"power": 3.0, "neighbours": 4, "radius": 300.0, "scale": "linear"}
    stack = build_stack(survey, grid, elements=["Au_ppb"], faults=[], **options)
    expected = idw_grid(survey.samples, ["Au_ppb"], grid, **options)
    assert np.isnan(expected.values).any()
    assert np.array_equal(stack.values[0], expected.values[0], equal_nan=True)
    assert names(stack) == ["Au_ppb", "geology"]
    assert bands_of(stack)[0].description == "Au (ppb), IDW"


def test_several_fault_bands_keep_their_order():
    stack = build_stack(
        make_survey(), make_grid(), elements=[], faults=["presence", "density", "distance"]
    )
    assert names(stack) == ["geology", "fault_presence", "fault_density", "fault_distance"]
    assert [band.kind for band in bands_of(stack)] == ["class", "presence", "density", "distance"]


def test_the_geology_rule_is_passed_on():
    dyke = frame(
        [box(WEST, SOUTH, EAST, NORTH), box(WEST + 45, SOUTH, WEST + 55, NORTH)],
        rock=["host", "dyke"],
    )
    survey = make_survey(geology=dyke)
    for rule, number in (("largest", 2), ("centre", 1)):
        assert (
            build_stack(survey, make_grid(), elements=[], geology=rule).values[0, :, 0] == number
        ).all()


@pytest.mark.parametrize(
    ("missing", "bands"),
    [
        ({"geology": None, "geology_column": None}, ["Cu", "Au_ppb", "fault_distance"]),
        ({"faults": None}, ["Cu", "Au_ppb", "geology"]),
        ({"geology": None, "geology_column": None, "faults": None}, ["Cu", "Au_ppb"]),
        ({"elements": {}}, ["geology", "fault_distance"]),
    ],
)
def test_layers_that_are_not_there_make_fewer_bands(missing, bands):
    stack = build_stack(make_survey(**missing), make_grid())
    assert names(stack) == bands
    assert np.isfinite(stack.values).all()


# --- where it has no value
# -------------------------------------------------------------------------------------------


def test_outside_the_study_area_no_band_has_a_value():
    triangle = shapely.Polygon([(WEST, SOUTH), (EAST, SOUTH), (WEST, NORTH)])
    survey = make_survey(study_area=frame([triangle]))
    grid = make_grid(survey)
    stack = build_stack(survey, grid, faults=["distance", "presence", "density"])
    x, y = grid.xy(*np.indices(grid.shape))
    inside = shapely.contains_xy(triangle, x, y)
    assert 0.4 < inside.mean() < 0.6
    for band in stack.values:
        assert np.array_equal(np.isfinite(band), inside)
    assert np.array_equal(valid_cells(stack), inside)


def test_without_a_study_area_it_is_the_ground_around_the_samples():
    survey = make_survey(study_area=None)
    stack = build_stack(survey, make_grid(survey), elements=["Cu"])
    hull = study_area_of_samples(survey.samples).geometry[0]
    assert valid_cells(stack).sum() * CELL**2 == pytest.approx(hull.area, rel=0.02)


def test_unmapped_ground_is_a_class_of_its_own():
    survey = make_survey(geology=make_survey().geology.iloc[:1])
    stack = build_stack(survey, make_grid(), elements=[])
    assert bands_of(stack)[0].legend == {1: "north", 2: UNMAPPED}
    assert (stack.values[0, :20] == 1).all()
    assert (stack.values[0, 20:] == 2).all()


def test_unmapped_ground_outside_the_study_area_makes_no_class():
    north = box(WEST, (SOUTH + NORTH) / 2, EAST, NORTH)
    survey = make_survey(study_area=frame([north]), geology=make_survey().geology.iloc[:1])
    assert bands_of(build_stack(survey, make_grid(), elements=[]))[0].legend == {1: "north"}


def test_a_cell_counts_with_a_value_in_any_band(stack):
    holed = stack.copy(deep=True)
    holed[0, 0, 0] = np.nan
    holed[:, 1, 1] = np.nan
    valid = valid_cells(holed)
    assert valid[0, 0]
    assert not valid[1, 1]
    assert valid.sum() == valid.size - 1


# --- grid
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [700.0, 6000.0, 81_234.0, 400_000.0])
def test_the_default_grid_has_500_to_1000_cells_along_its_longer_side(side):
    survey = make_survey(study_area=frame([box(WEST, SOUTH, WEST + side, SOUTH + side / 3)]))
    grid = survey_grid(survey)
    assert 500 <= max(grid.shape) <= 1002
    west, south, east, north = grid.bounds
    assert west <= WEST < west + grid.cell
    assert south <= SOUTH < south + grid.cell
    assert (east, north) >= (WEST + side, SOUTH + side / 3)


def test_the_cell_size_that_is_asked_for_is_used():
    assert survey_grid(make_survey(), 250).shape == (16, 24)


# --- reading back
# ----------------------------------------------------------------------------------------------------


def test_the_stack_reads_back_identical(stack, tmp_path):
    path = write_raster(stack, tmp_path / "stack.tif")
    read = read_raster(path)
    xr.testing.assert_identical(read, stack)
    assert read.values.tobytes() == stack.values.tobytes()
    assert [dict(band.legend) for band in bands_of(read) if band.legend] == [
        {1: "a south", 2: "north"}
    ]
    with rasterio.open(path) as source:
        assert [source.tags(i)["name"] for i in source.indexes] == names(stack)


def test_a_stack_with_holes_reads_back_identical(tmp_path):
    survey = make_survey(study_area=frame([Point(WEST + 3000, SOUTH + 2000).buffer(1500)]))
    stack = build_stack(survey, make_grid(), radius=400.0)
    xr.testing.assert_identical(read_raster(write_raster(stack, tmp_path / "stack.tif")), stack)


# --- what is refused
# -------------------------------------------------------------------------------------------------


def test_a_survey_without_any_evidence_is_refused():
    survey = make_survey(elements={}, geology=None, faults=None)
    with pytest.raises(
        DataError, match="no band is left: the survey needs usable elements, geology or faults"
    ):
        build_stack(survey, make_grid())


def test_a_cell_too_large_for_the_study_area_is_refused():
    survey = make_survey(study_area=frame([box(WEST, SOUTH, WEST + 10, SOUTH + 10)]))
    with pytest.raises(
        UsageError, match="no cell centre lies inside the study area: a cell of 5000 m is too large"
    ):
        build_stack(survey, survey_grid(survey, 5000))


def test_a_cell_too_small_for_the_memory_is_refused_before_the_work():
    with pytest.raises(
        UsageError, match=r"a cell size of 0\.001 m gives .* cells; 4 bands need about .* GB"
    ) as caught:
        build_stack(make_survey(), survey_grid(make_survey(), 0.001))
    assert caught.value.exit_code == 2


def test_an_unknown_element_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r'no column "Au_ppm"\. Did you mean "Au_ppb"\?'):
        build_stack(make_survey(), make_grid(), elements=["Au_ppm"])


@pytest.mark.parametrize("elements", [["Cu"], []])
def test_a_grid_in_another_crs_is_refused_even_without_elements(elements):
    grid = make_grid()
    other = Grid.from_bounds(grid.bounds, CELL, 32634)
    with pytest.raises(DataError, match="zone 33N, the grid in WGS 84 / UTM zone 34N: reproject"):
        build_stack(make_survey(), other, elements=elements)


def test_the_survey_stays_as_it_was():
    survey = make_survey()
    before = {role: layer.copy(deep=True) for role, layer in survey.layers().items()}
    build_stack(survey, make_grid())
    for role, layer in survey.layers().items():
        assert layer.equals(before[role])


# --- a real area
# -----------------------------------------------------------------------------------------------------


def test_central_lapland_becomes_a_stack(real_area, tmp_path):
    path = real_area("clb_finland")
    roles = ("samples", "deposits", "geology", "faults", "study_area")
    survey, _ = check_survey(read_survey({role: Source(path, role) for role in roles}))
    grid = survey_grid(survey, 500)
    stack = build_stack(survey, grid)
    assert names(stack) == [*survey.elements, "geology", "fault_distance"]
    inside = valid_cells(stack)
    assert inside.sum() * 0.25 == pytest.approx(4609, rel=0.01)  # km2
    assert np.isfinite(stack.values[:, inside]).all()
    for name in survey.elements:
        band = stack.sel(band=name).values[inside]
        known = survey.samples[name]
        assert known.min() * (1 - 1e-6) <= band.min() < band.max() <= known.max() * (1 + 1e-6)
    geology = bands_of(stack)[-2]
    unmapped = next(number for number, name in geology.legend.items() if name == UNMAPPED)
    assert len(geology.legend) == 24
    share = (stack.sel(band="geology").values[inside] == unmapped).mean()
    assert share == pytest.approx(1 - 0.922, abs=0.01)
    xr.testing.assert_identical(read_raster(write_raster(stack, tmp_path / "stack.tif")), stack)


def test_murchison_becomes_a_stack_of_geology_and_faults(real_area):
    path = real_area("murchison_wa")
    roles = ("samples", "deposits", "geology", "faults", "study_area")
    survey, _ = check_survey(read_survey({role: Source(path, role) for role in roles}))
    stack = build_stack(survey, survey_grid(survey, 2000))
    assert names(stack) == ["geology", "fault_distance"]
    assert set(bands_of(stack)[0].legend.values()) == {"greenstone", UNMAPPED}
    rows, cols = grid_of(stack).rowcol(survey.deposits.geometry.x, survey.deposits.geometry.y)
    distance = stack.sel(band="fault_distance").values
    # Gold lies near the faults: the known signal of this area.
    assert np.nanmedian(distance[rows, cols]) < 0.5 * np.nanmedian(distance)


def test_a_misspelt_keyword_is_refused_whatever_the_survey_has(tmp_path):
    bare = make_survey(elements={})
    with pytest.raises(TypeError, match="neighbors"):
        build_stack(bare, make_grid(), neighbors=3)
    with pytest.raises(TypeError, match="neighbors"):
        stack_to_file(bare, make_grid(), tmp_path / "stack.tif", neighbors=3)
