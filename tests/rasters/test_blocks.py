"""Blocks: whatever the windows are, they give the whole; and the whole stack as a file is the one
in memory.
"""

from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from shapely import LineString, Point, box

from geomfaf.errors import OutputExistsError
from geomfaf.evidence import geology as rasterize
from geomfaf.evidence.faults import FAULT_BANDS, FaultLayer, fault_bands
from geomfaf.evidence.geology import AreaLayer, GeologyLayer
from geomfaf.evidence.inverse_distance import IdwOptions
from geomfaf.evidence.stack import (
    StackPlan,
    build_stack,
    stack_to_file,
)
from geomfaf.evidence.vector_bands import vector_band, vector_to_file
from geomfaf.rasters import blocks as runner
from geomfaf.rasters import stream, tiff_tiles
from geomfaf.rasters.bands import bands_of, making_of_bands
from geomfaf.rasters.blocks import block_windows
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid
from geomfaf.survey.survey import Survey

UTM = 32633
GRID = Grid.from_bounds((500_000, 5_500_000, 504_800, 5_503_700), 50, UTM)  # 74 x 96 cells
SEEDS = st.integers(0, 2**32 - 1)


def layer(shapes, **columns):
    return gpd.GeoDataFrame(geometry=list(shapes), crs=UTM).assign(**columns)


def random_faults(seed, count=8, spread=1.3):
    """Lines of two to five corners, some beyond the grid."""
    rng = np.random.default_rng(seed)
    west, south, east, north = GRID.bounds
    corners = rng.uniform(-0.5, 0.5, (count, 5, 2)) * spread * (east - west, north - south)
    corners += ((west + east) / 2, (south + north) / 2)
    return layer([LineString(line[: rng.integers(2, 6)]) for line in corners])


def random_geology(seed, count=30):
    rng = np.random.default_rng(seed)
    west, south, east, north = GRID.bounds
    seeds = shapely.MultiPoint(
        np.column_stack([rng.uniform(west, east, count), rng.uniform(south, north, count)])
    )
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=box(*GRID.bounds)))
    return layer(cells[2:], rock=rng.choice(["chalk", "gneiss", "slate"], len(cells) - 2))


def cut(seed):
    """Windows that cover the grid once, of any sizes."""
    rng = np.random.default_rng(seed)
    rows, cols = (
        np.unique([0, *rng.integers(1, length, rng.integers(0, 5)), length])
        for length in (GRID.height, GRID.width)
    )
    return [
        (int(r), int(c), int(r2 - r), int(c2 - c))
        for r, r2 in pairwise(rows)
        for c, c2 in pairwise(cols)
    ]


def assembled(block, bands, windows):
    whole = np.full((bands, *GRID.shape), -1, np.float32)
    for row, col, height, width in windows:
        whole[:, row : row + height, col : col + width] = block(row, col, height, width)
    return whole


@given(SEEDS, st.sampled_from(sorted(FAULT_BANDS)), SEEDS)
@settings(max_examples=60, deadline=None)
def test_fault_bands_do_not_know_where_the_blocks_are(seed, kind, cuts):
    faults = FaultLayer(random_faults(seed), GRID, [kind], radius=330.0)
    whole = faults.block(0, 0, *GRID.shape)[0]
    parts = assembled(lambda *window: faults.block(*window)[0], 1, cut(cuts))[0]
    np.testing.assert_array_equal(parts, whole)


@given(SEEDS, st.sampled_from(["largest", "centre"]), SEEDS)
@settings(max_examples=40, deadline=None)
def test_geology_does_not_know_where_the_blocks_are(seed, rule, cuts):
    geology = GeologyLayer(random_geology(seed), "rock", GRID, rule=rule)
    whole = geology.block(0, 0, *GRID.shape)
    parts = assembled(lambda *window: geology.block(*window), 1, cut(cuts))[0]
    np.testing.assert_array_equal(parts, whole)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_distance_is_exact_far_from_every_fault_too(seed):
    rng = np.random.default_rng(seed)
    faults = random_faults(seed, count=3, spread=float(rng.choice([0.1, 1.0, 20.0])))
    got = FaultLayer(faults, GRID).block(0, 0, *GRID.shape)[0]
    points = shapely.points(*(axis.ravel() for axis in GRID.xy(*np.indices(GRID.shape))))
    np.testing.assert_allclose(
        got.ravel(), shapely.distance(points, faults.union_all()), rtol=1e-6, atol=1e-4
    )


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_cell_distance_is_that_to_the_nearest_fault_cell(seed):
    exact, cells, present = fault_bands(
        random_faults(seed, count=2), GRID, ["distance", "cell_distance", "presence"]
    )
    if not present.any():
        assert np.isnan(cells).all()
        return
    places = np.column_stack([axis.ravel() for axis in GRID.xy(*np.indices(GRID.shape))])
    nearest = cKDTree(places[present.ravel() > 0]).query(places)[0]
    np.testing.assert_allclose(cells.ravel(), nearest, rtol=1e-6, atol=1e-3)
    assert (exact - cells).max() <= GRID.cell * np.sqrt(
        0.5
    ) + 1e-3  # a fault cell's centre is that near to its fault


def test_an_outline_of_many_vertices_is_cut_to_the_block_and_stays_where_it_is(monkeypatch):
    island = Point(502_400, 5_501_850).buffer(1700, quad_segs=500)
    window = (20, 60, 40, 33)

    def results():
        mask = AreaLayer(layer([island]), GRID).block(*window)
        return mask, GeologyLayer(layer([island], rock=["granite"]), "rock", GRID).block(*window)

    whole = results()
    monkeypatch.setattr(rasterize, "MANY_VERTICES", 100)
    assert rasterize.Shapes([island]).large.all()
    assert 0 < whole[0].mean() < 1
    for uncut, cut_out in zip(whole, results(), strict=True):
        np.testing.assert_array_equal(cut_out, uncut)


# --- the whole stack
# -------------------------------------------------------------------------------------------------


def survey(**changes):
    rng = np.random.default_rng(3)
    west, south, east, north = GRID.bounds
    places = shapely.points(rng.uniform(west, east, 60), rng.uniform(south, north, 60))
    samples = layer(places, Au=rng.lognormal(0, 1, 60), Cu=rng.lognormal(3, 1, 60))
    layers = {
        "samples": samples,
        "deposits": layer(places[:3]),
        "geology": random_geology(5),
        "faults": random_faults(5),
        "study_area": layer([Point(502_400, 5_501_850).buffer(1800)]),
        "elements": {"Au": "ppb", "Cu": "ppm"},
        "geology_column": "rock",
    }
    return Survey(**{**layers, **changes})


CHOICES = {
    "faults": ("distance", "presence", "density"),
    "radius": 900.0,
    "options": IdwOptions(engine="numba", errors=True),
}


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 cells, the least that GeoTIFF tiles allow: the small grid has thirty."""
    for module in (runner, stream, tiff_tiles):
        for name in ("BLOCK", "TILE"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 16)
    monkeypatch.setattr(runner.block_windows, "__defaults__", (16,))


def test_the_stack_of_many_blocks_is_the_stack_of_one(small_blocks):
    plan = StackPlan(survey(), GRID, **CHOICES)
    assert len(block_windows(GRID)) == 30
    np.testing.assert_array_equal(
        build_stack(survey(), GRID, **CHOICES).values, plan.block(0, 0, *GRID.shape)
    )


@pytest.mark.parametrize("cog", [False, True])
def test_the_stack_as_a_file_is_the_stack_in_memory(tmp_path, cog):
    expected = build_stack(survey(), GRID, **CHOICES)
    found = read_raster(stack_to_file(survey(), GRID, tmp_path / "stack.tif", cog=cog, **CHOICES))
    xr.testing.assert_identical(found, expected)
    assert {"idw_power", "rmse_leave_one_out", "rmse_log10_spatial_blocks"} <= set(
        making_of_bands(found)["Au"]
    )


@pytest.mark.parametrize("mapped", [True, False])
def test_the_legend_names_unmapped_ground_only_where_there_is_some(tmp_path, mapped):
    geology = layer(
        [box(*GRID.bounds) if mapped else box(500_000, 5_500_000, 502_000, 5_503_700)],
        rock=["slate"],
    )
    known = survey(geology=geology, elements={})
    legend = {1: "slate"} if mapped else {1: "slate", 2: "unmapped"}
    assert bands_of(build_stack(known, GRID))[0].legend == legend
    assert (
        bands_of(read_raster(stack_to_file(known, GRID, tmp_path / "stack.tif")))[0].legend
        == legend
    )


def test_a_zarr_stack_is_the_stack_in_memory(tmp_path):
    pytest.importorskip("zarr")
    expected = build_stack(survey(), GRID, **CHOICES)
    path = stack_to_file(survey(), GRID, tmp_path / "stack.zarr", **CHOICES)
    with pytest.raises(OutputExistsError):
        stack_to_file(survey(), GRID, path, **CHOICES)
    xr.testing.assert_identical(read_raster(path), expected)


@pytest.mark.parametrize("kind", ["geology", "density"])
def test_one_layer_as_a_file_is_the_layer_in_memory(tmp_path, kind):
    shapes = random_geology(1) if kind == "geology" else random_faults(1)
    path = vector_to_file(shapes, GRID, kind, tmp_path / "band.tif")
    xr.testing.assert_identical(read_raster(path), vector_band(shapes, GRID, kind))


@pytest.mark.slow
def test_a_cluster_of_processes_stacks_the_same_bits(tmp_path):
    """Two worker processes against local threads, every kind of band."""
    from distributed import LocalCluster

    choices = {**CHOICES, "faults": tuple(FAULT_BANDS)}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as workers:
        path = stack_to_file(
            survey(), GRID, tmp_path / "s.tif", scheduler=workers.scheduler_address, **choices
        )
    np.testing.assert_array_equal(
        read_raster(path).values, build_stack(survey(), GRID, **choices).values
    )


def test_another_layer_or_rule_is_another_job():
    def job(known=None, **choices):
        return StackPlan(known or survey(), GRID, **choices).fingerprint()

    moved = survey().faults.translate(1)
    changed = [
        job(radius=900.0),
        job(geology="centre"),
        job(faults=("presence",)),
        job(survey(faults=gpd.GeoDataFrame(geometry=moved))),
        job(survey(geology=survey().geology.iloc[1:])),
        job(survey(study_area=layer([box(*GRID.bounds)]))),
    ]
    assert len({job(), *changed}) == 1 + len(changed)
    assert job() == job()
