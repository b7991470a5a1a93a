"""Rasterizing against shapely: exact overlays, exact distances, densities with a closed form."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiLineString, MultiPolygon, Point, box

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.faults import fault_bands, fault_density, fault_distance, fault_presence
from geomfaf.evidence.geology import SUBCELLS, rasterize_geology, study_area_mask
from geomfaf.evidence.vector_bands import vector_band
from geomfaf.rasters.bands import bands_of, grid_of
from geomfaf.rasters.grid import Grid

UTM = 32633
CELL = 80.0
GRID = Grid.from_bounds((0, 0, 960, 720), CELL, UTM)


def layer(shapes, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=UTM).assign(**columns)


def cell_boxes(grid):
    rows, cols = (axis.ravel() for axis in np.indices(grid.shape))
    return np.array(
        [box(*grid.window_bounds(int(r), int(c), 1, 1)) for r, c in zip(rows, cols, strict=True)]
    )


def centres(grid):
    return shapely.points(*(axis.ravel() for axis in grid.xy(*np.indices(grid.shape))))


def voronoi_map(grid, count, seed):
    """Return a gap-free geological map of slanting polygons, some of them of the same class."""
    rng = np.random.default_rng(seed)
    west, south, east, north = grid.bounds
    seeds = shapely.MultiPoint(
        np.column_stack([rng.uniform(west, east, count), rng.uniform(south, north, count)])
    )
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=box(*grid.bounds)))
    return layer(cells, rock=rng.choice(["chalk", "gneiss", "slate"], count))


def exact_shares(geology, grid, legend):
    """Return the share of each cell that each class covers, (1 + classes, cells); 0 is unmapped
    ground.
    """
    cells = cell_boxes(grid)
    shares = [
        shapely.area(
            shapely.intersection(cells, geology.geometry[geology["rock"] == name].union_all())
        )
        for name in legend.values()
    ]
    covered = np.array(shares) / grid.cell_area
    return np.vstack([1 - covered.sum(axis=0), covered])


# --- geology
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_share_is_that_of_an_exact_overlay(seed):
    geology = voronoi_map(GRID, 25, seed).iloc[3:]  # three polygons are missing: unmapped ground
    classes, legend = rasterize_geology(geology, "rock", GRID)
    shares = exact_shares(geology, GRID, legend)
    chosen = shares[classes.ravel(), np.arange(GRID.size)]
    assert (chosen >= shares.max(axis=0) - 0.1).all()  # sixty-four points a cell cannot tell finer
    clear = np.sort(shares, axis=0)[-1] - np.sort(shares, axis=0)[-2] > 0.1
    assert clear.mean() > 0.8
    assert np.array_equal(classes.ravel()[clear], shares.argmax(axis=0)[clear])
    assert (classes == 0).any()


@st.composite
def maps_of_boxes(draw):
    """Boxes whose edges lie on eighths of a cell, where the sampling of a cell is exact; later ones
    lie on top.
    """
    shapes = []
    for _ in range(draw(st.integers(1, 6))):
        left, width = draw(st.integers(-4, 30)), draw(st.integers(1, 30))
        bottom, height = draw(st.integers(-4, 22)), draw(st.integers(1, 22))
        shapes.append((left, bottom, left + width, bottom + height))
    return shapes, draw(
        st.lists(st.sampled_from("abc"), min_size=len(shapes), max_size=len(shapes))
    )


@given(maps_of_boxes())
@settings(max_examples=60)
def test_ties_go_to_the_lower_number_and_later_polygons_lie_on_top(drawn):
    eighths, names = drawn
    step = CELL / SUBCELLS
    grid = Grid.from_bounds((0, 0, 4 * CELL, 3 * CELL), CELL, UTM)
    geology = layer([box(*(step * np.array(edges))) for edges in eighths], rock=names)
    classes, legend = rasterize_geology(geology, "rock", grid)
    visible = shapely.from_wkt(["POLYGON EMPTY"] * len(names))
    above = shapely.from_wkt("POLYGON EMPTY")
    for index in reversed(range(len(names))):
        visible[index] = shapely.difference(geology.geometry[index], above)
        above = shapely.union(above, geology.geometry[index])
    shares = exact_shares(layer(visible, rock=names), grid, legend)
    assert np.array_equal(
        classes.ravel(), np.round(64 * shares).argmax(axis=0)
    )  # argmax: the first, lowest number


def test_the_centre_rule_takes_the_class_at_the_centre():
    geology = voronoi_map(GRID, 30, 9)
    classes, legend = rasterize_geology(geology, "rock", GRID, rule="centre")
    points = centres(GRID)
    for number, name in legend.items():
        inside = shapely.contains(geology.geometry[geology["rock"] == name].union_all(), points)
        assert np.array_equal(classes.ravel() == number, inside)


def test_a_thin_dyke_counts_for_the_centre_and_not_for_the_share():
    grid = Grid.from_bounds((0, 0, 300, 100), 100, UTM)
    geology = layer([box(0, 0, 300, 100), box(145, 0, 155, 100)], rock=["granite", "dyke"])
    assert rasterize_geology(geology, "rock", grid)[0].tolist() == [[2, 2, 2]]
    assert rasterize_geology(geology, "rock", grid, rule="centre")[0].tolist() == [[2, 1, 2]]


def test_blocks_leave_no_seam():
    grid = Grid.from_bounds((0, 0, 270 * 10, 265 * 10), 10, UTM)
    geology = voronoi_map(grid, 300, 4)
    whole = rasterize_geology(geology, "rock", grid)[0]
    assert (whole > 0).all()
    seam = grid.window(250, 250, 15, 20)
    assert np.array_equal(whole[250:265, 250:270], rasterize_geology(geology, "rock", seam)[0])


def test_the_legend_is_in_alphabetical_order_and_blank_names_are_unmapped():
    strips = [box(0, 80 * i, 960, 80 * (i + 1)) for i in range(6)]
    geology = layer(strips, rock=["slate", None, " gneiss ", "", "Chalk", "gneiss"])
    classes, legend = rasterize_geology(geology, "rock", GRID)
    assert legend == {1: "Chalk", 2: "gneiss", 3: "slate"}
    assert classes.dtype == np.uint16
    assert classes[:, 0].tolist() == [0, 0, 0, 2, 1, 0, 2, 0, 3]
    assert (classes == classes[:, :1]).all()


def test_classes_may_be_numbers():
    classes, legend = rasterize_geology(layer([box(0, 0, 960, 720)], code=[7]), "code", GRID)
    assert legend == {1: "7"}
    assert (classes == 1).all()


@pytest.mark.parametrize("rule", ["largest", "centre"])
def test_geology_stays_north_up(rule):
    north, corner = box(0, 360, 960, 720), box(880, 0, 960, 80)
    classes, legend = rasterize_geology(
        layer([north, corner], rock=["north", "south east"]), "rock", GRID, rule=rule
    )
    expected = np.zeros(GRID.shape)
    expected[:4], expected[-1, -1] = 1, 2
    expected[4] = classes[4, 0]  # the row that the edge halves
    assert np.array_equal(classes, expected)
    assert legend[2] == "south east"


def test_geology_beyond_the_grid_gives_no_class():
    classes, legend = rasterize_geology(
        layer([box(5000, 0, 6000, 100)], rock=["far"]), "rock", GRID
    )
    assert (classes == 0).all()
    assert legend == {1: "far"}


# --- study area
# ------------------------------------------------------------------------------------------------------


def test_the_study_area_holds_the_cells_whose_centre_lies_in_it():
    ring = Point(400, 300).buffer(280) - Point(420, 310).buffer(120)
    area = layer([MultiPolygon([ring, box(850, 610, 2000, 2000)])])
    mask = study_area_mask(area, GRID)
    assert np.array_equal(mask.ravel(), shapely.contains(area.geometry[0], centres(GRID)))
    assert mask[0, -1]
    assert not mask[0, 0]


# --- distance to faults
# ----------------------------------------------------------------------------------------------


COORDINATE = st.integers(-500, 1500)
LINES = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=2, max_size=5, unique=True).map(
    LineString
)


@given(st.lists(LINES, min_size=1, max_size=5), st.booleans())
@settings(max_examples=60)
def test_the_fault_distance_is_that_of_shapely(lines, joined):
    faults = layer([MultiLineString(lines)] if joined else lines)
    expected = shapely.distance(centres(GRID), shapely.union_all(lines))
    got = fault_distance(faults, GRID)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-6, atol=1e-4)


def test_the_parts_of_a_fault_are_not_joined():
    apart = MultiLineString([[(-10, 700), (0, 700)], [(960, 700), (970, 700)]])
    assert fault_distance(layer([apart]), GRID)[0, 6] == pytest.approx(np.hypot(440, 20), rel=1e-6)


def test_fault_distance_stays_north_up_and_empty_outside_its_mask():
    mask = np.ones(GRID.shape, bool)
    mask[:, 5:] = False
    distance = fault_distance(layer([LineString([(-1e6, 720), (1e6, 720)])]), GRID, mask=mask)
    assert distance[:, 0].tolist() == [40, 120, 200, 280, 360, 440, 520, 600, 680]
    assert np.isnan(distance[:, 5:]).all()
    assert np.isfinite(distance[:, :5]).all()


# --- presence and density
# --------------------------------------------------------------------------------------------


@given(st.lists(LINES, min_size=1, max_size=3))
@settings(max_examples=60)
def test_a_fault_is_present_where_it_runs_through_the_cell_and_absent_where_it_does_not_come_near(
    lines,
):
    together = shapely.union_all(lines)
    present = fault_presence(layer(lines), GRID).ravel()
    cells = cell_boxes(GRID)
    assert set(present) <= {0, 1}
    assert (
        present[shapely.length(shapely.intersection(shapely.buffer(cells, -1e-3), together)) > 1]
        == 1
    ).all()
    assert (present[shapely.distance(cells, together) > 1e-3] == 0).all()


@given(st.lists(LINES, min_size=1, max_size=4))
@settings(max_examples=60)
def test_no_metre_of_fault_is_lost(lines):
    density = fault_density(layer(lines), GRID, radius=1.0)  # of each cell alone
    inside = sum(line.intersection(box(*GRID.bounds)).length for line in lines)
    pieces = (
        CELL / 10 * 4 * sum(len(line.coords) for line in lines)
    )  # what the edge of the grid may cut
    assert density.sum() * GRID.cell_area / 1e3 == pytest.approx(inside, abs=pieces)


def test_faults_in_every_column_have_the_density_of_their_spacing():
    lines = [LineString([(x, 0), (x, 720)]) for x in GRID.x]
    np.testing.assert_allclose(fault_density(layer(lines), GRID), 1000 / CELL, rtol=1e-5)


@pytest.mark.parametrize("reach", [2, 5, 12])
def test_one_long_fault_has_the_density_of_its_chord(reach):
    grid = Grid.from_bounds((0, 0, 6100, 6100), 100, UTM)
    density = fault_density(
        layer([LineString([(3050, 0), (3050, 6100)])]), grid, radius=100.0 * reach
    )
    x, y = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = x**2 + y**2 <= reach**2
    middle = 30
    for away in (0, 1, reach):
        chord = 2 * np.floor(np.sqrt(reach**2 - away**2)) + 1  # cells of 100 m
        expected = chord * 0.1 / (disc.sum() * 0.01)
        assert density[middle, 30 + away] == pytest.approx(expected, rel=1e-5)
        assert density[middle, 30 - away] == pytest.approx(expected, rel=1e-5)
    assert density[middle, 30 + reach + 1] == pytest.approx(0, abs=1e-6)
    assert density[middle, 30] == pytest.approx(
        2 * reach * 0.1 / (np.pi * (reach * 0.1) ** 2), rel=0.3
    )


def test_density_stays_north_up_and_is_never_negative():
    density = fault_density(layer([LineString([(0, 680), (960, 680)])]), GRID, radius=200)
    assert (density >= 0).all()
    assert density[0].min() > density[2].max() > 0
    assert density[4:].max() < 1e-6


# --- as bands
# --------------------------------------------------------------------------------------------------------


def test_a_geology_band_knows_its_classes_and_is_empty_where_none_is_mapped():
    band = vector_band(layer([box(0, 0, 480, 720)], Lithology=["slate"]), GRID, "geology")
    assert grid_of(band) == GRID
    assert (band.values[0][:, :6] == 1).all()
    assert np.isnan(band.values[0][:, 6:]).all()
    made = bands_of(band)[0]
    assert (made.name, made.kind, made.legend, made.description) == (
        "geology",
        "class",
        {1: "slate"},
        "Geology (Lithology)",
    )


@pytest.mark.parametrize(
    ("kind", "unit"),
    [("distance", "m"), ("cell_distance", "m"), ("presence", ""), ("density", "km/km2")],
)  # fmt: skip
def test_fault_bands_know_their_unit(kind, unit):
    faults = layer([LineString([(0, 0), (960, 720)])])
    band = vector_band(faults, GRID, kind)
    made = bands_of(band)[0]
    assert (made.name, made.kind, made.unit) == (f"fault_{kind}", kind.removeprefix("cell_"), unit)
    assert np.array_equal(band.values[0], fault_bands(faults, GRID, [kind])[0])


# --- what is refused
# -------------------------------------------------------------------------------------------------


def test_unknown_rules_and_bands_are_refused_with_what_is_known():
    geology, faults = layer([box(0, 0, 1, 1)], rock=["a"]), layer([LineString([(0, 0), (1, 1)])])
    with pytest.raises(
        UsageError, match='geology rule "majority" is unknown: use one of largest, centre'
    ):
        rasterize_geology(geology, "rock", GRID, rule="majority")
    with pytest.raises(
        UsageError,
        match='fault band "nearness" is unknown: use one of distance, cell_distance, presence',
    ):
        fault_bands(faults, GRID, ["distance", "nearness"])


@pytest.mark.parametrize("burn", [fault_distance, fault_presence, fault_density, study_area_mask])
def test_layers_of_another_or_no_crs_are_refused_instead_of_missing_the_grid(burn):
    shapes = layer([LineString([(0, 0), (1, 1)]).buffer(1)])
    with pytest.raises(
        DataError, match="are in WGS 84, the grid in WGS 84 / UTM zone 33N: reproject"
    ):
        burn(shapes.to_crs(4326), GRID)
    with pytest.raises(DataError, match="have no CRS: set one"):
        burn(gpd.GeoDataFrame(geometry=shapes.geometry.to_numpy()), GRID)


def test_geology_of_another_crs_is_refused():
    with pytest.raises(DataError, match="the geology's polygons are in WGS 84"):
        rasterize_geology(layer([box(0, 0, 1, 1)], rock=["a"]).to_crs(4326), "rock", GRID)
