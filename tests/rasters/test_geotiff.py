"""Writing: a file is north-up, says what it holds, reads back identical, and is complete or not
there at all.
"""

import json
import sqlite3
import tracemalloc

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from affine import Affine
from builders import make_grid, make_stack
from pyproj import CRS
from rasterio.vrt import WarpedVRT
from shapely import LineString, Point

from geomfaf.deliver.layers import write_layers
from geomfaf.errors import DataError, GeomfafError, OutputExistsError, UsageError
from geomfaf.files import finished_file, refuse_existing, write_json, write_table
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, grid_of, with_making
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.rasters.grid import Grid

UTM = 32633
GRID = Grid.from_bounds((500_000, 5_500_000, 500_700, 5_500_500), 100, UTM)
LEGEND = {1: "chalk", 2: "Grünstein", 17: "片岩"}
BANDS = [
    Band("Au_ppb", "element", "ppb", "Au (ppb), IDW of log10"),
    Band("geology", "class", "", "Geology (rock)", LEGEND),
    Band("fault_distance", "distance", "m", "Distance to nearest fault (m)"),
]
ODD_CRS = [
    "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m",
    "+proj=tmerc +lat_0=0 +lon_0=117.3 +k=1 +x_0=500000 +ellps=krass +units=m",
    "+proj=lcc +lat_1=20 +lat_2=40 +lat_0=30 +lon_0=110 +ellps=GRS80 +units=m",
]


def stack(grid=GRID):
    """Return three bands with holes in different places."""
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 3, (3, *grid.shape))
    values[1] = rng.choice([1, 2, 17], grid.shape)
    values[0, 0, :2] = np.nan
    values[1, -1, -1] = np.nan
    return as_dataarray(values, grid, BANDS)


def northing(grid=GRID):
    return as_dataarray(
        np.repeat(grid.y[:, None], grid.width, 1)[None], grid, [Band("north", "distance", "m")]
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- reading back
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crs", [UTM, 3067, 28354, 28350, 7845, 2193, 4547, "ESRI:102025"])
def test_a_raster_reads_back_identical(tmp_path, crs):
    written = stack(Grid(CRS(crs), GRID.transform, GRID.shape))
    read = read_raster(write_raster(written, tmp_path / "stack.tif"))
    xr.testing.assert_identical(read, written)
    assert read.values.tobytes() == written.values.tobytes()
    assert read.dtype == np.float32
    assert grid_of(read) == grid_of(written) == Grid(CRS(crs), GRID.transform, GRID.shape)
    assert bands_of(read) == BANDS


@pytest.mark.parametrize("crs", ODD_CRS)
def test_a_crs_without_a_code_reads_back_as_the_same_crs(tmp_path, crs):
    grid = Grid(CRS(crs), GRID.transform, GRID.shape)
    written = stack(grid)
    read = read_raster(write_raster(written, tmp_path / "one.tif"))
    assert grid_of(read) == grid
    assert bands_of(read) == BANDS
    assert read.values.tobytes() == written.values.tobytes()
    xr.testing.assert_identical(read_raster(write_raster(read, tmp_path / "two.tif")), read)


@pytest.mark.parametrize("cell", [0.1, 1 / 3, 7.7, 12.5, 30.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (39, 2), (17, 23)])
def test_values_and_transform_come_back_to_the_bit(tmp_path, cell, shape):
    rng = np.random.default_rng(shape)
    grid = Grid(
        CRS(UTM), Affine(cell, 0, rng.uniform(-1e6, 1e6), 0, -cell, rng.uniform(0, 1e7)), shape
    )
    values = rng.normal(size=(2, *shape)).astype(np.float32)
    path = write_raster(
        as_dataarray(values, grid, [Band("a"), Band("b", "score")]), tmp_path / "r.tif"
    )
    read = read_raster(path)
    assert tuple(grid_of(read).transform) == tuple(grid.transform)
    assert read.values.tobytes() == values.tobytes()


def test_the_array_that_is_written_stays_as_it_was(tmp_path):
    written = stack()
    before = written.copy(deep=True)
    write_raster(written, tmp_path / "stack.tif")
    xr.testing.assert_identical(written, before)


# --- what any other program sees
# -------------------------------------------------------------------------------------


def test_northing_stays_north_up_for_gdal(tmp_path):
    path = write_raster(northing(), tmp_path / "north.tif")
    with rasterio.open(path) as source:
        assert source.read(1)[:, 3].tolist() == [
            5_500_450,
            5_500_350,
            5_500_250,
            5_500_150,
            5_500_050,
        ]
        places = [(500_350.0, 5_500_450.0), (500_001.0, 5_500_051.0), (500_699.0, 5_500_249.0)]
        assert [value[0] for value in source.sample(places)] == [5_500_450, 5_500_050, 5_500_250]
        assert tuple(source.bounds) == GRID.bounds
        assert source.transform == GRID.transform
        assert CRS.from_wkt(source.crs.to_wkt()).to_epsg() == UTM


@pytest.mark.parametrize(
    ("row", "col", "place"),
    [
        (0, 0, (500_010, 5_500_490)),
        (0, -1, (500_690, 5_500_490)),
        (-1, 0, (500_010, 5_500_010)),
        (-1, -1, (500_690, 5_500_010)),
    ],
)
def test_a_corner_marker_stays_in_its_corner_for_gdal(tmp_path, row, col, place):
    values = np.zeros((1, *GRID.shape))
    values[0, row, col] = 9
    path = write_raster(
        as_dataarray(values, GRID, [Band("marker", "presence")]), tmp_path / "marker.tif"
    )
    with rasterio.open(path) as source:
        assert next(source.sample([place]))[0] == 9
        assert np.count_nonzero(source.read(1)) == 1


def test_the_file_says_what_each_band_is(tmp_path):
    path = write_raster(stack(), tmp_path / "stack.tif")
    with rasterio.open(path) as source:
        assert source.descriptions == tuple(band.description for band in BANDS)
        assert [unit or "" for unit in source.units] == ["ppb", "", "m"]
        assert [source.tags(i)["name"] for i in source.indexes] == [
            "Au_ppb",
            "geology",
            "fault_distance",
        ]
        assert [source.tags(i)["kind"] for i in source.indexes] == ["element", "class", "distance"]
        assert json.loads(source.tags(2)["legend"]) == {
            str(number): name for number, name in LEGEND.items()
        }
        assert all(np.isnan(nodata) for nodata in source.nodatavals)
        assert source.dtypes == ("float32",) * 3
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert names(tmp_path) == ["stack.tif"]


def test_the_statistics_are_those_of_the_valid_cells(tmp_path):
    written = stack()
    with rasterio.open(write_raster(written, tmp_path / "stack.tif")) as source:
        for index, band in enumerate(written.values.astype(float), start=1):
            tags = source.tags(index)
            figures = [
                float(tags[f"STATISTICS_{key}"]) for key in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")
            ]
            assert figures == pytest.approx(
                [f(band) for f in (np.nanmin, np.nanmax, np.nanmean, np.nanstd)], rel=1e-12
            )
            assert float(tags["STATISTICS_VALID_PERCENT"]) == pytest.approx(
                100 * np.isfinite(band).mean()
            )


def test_a_band_without_a_valid_cell_is_written_too(tmp_path):
    empty = as_dataarray(np.full((1, *GRID.shape), np.nan), GRID, [Band("a")])
    path = write_raster(empty, tmp_path / "empty.tif")
    xr.testing.assert_identical(read_raster(path), empty)
    with rasterio.open(path) as source:
        assert "STATISTICS_MEAN" not in source.tags(1)


def test_overviews_keep_class_numbers_and_average_scores(tmp_path):
    grid = Grid.from_bounds((0, 0, 12_000, 11_000), 10, UTM)
    checker = np.indices(grid.shape).sum(axis=0) % 2 * 16.0 + 1
    for kind, legend in (("class", {1: "a", 17: "b"}), ("score", {})):
        band = Band("b", kind, legend=legend)
        path = write_raster(as_dataarray(checker[None], grid, [band]), tmp_path / f"{kind}.tif")
        with rasterio.open(path) as source:
            factors = source.overviews(1)
            smaller = source.read(1, out_shape=(grid.height // 2, grid.width // 2))
        assert factors[0] == 2
        assert set(np.unique(smaller)) <= ({1, 17} if kind == "class" else {9})


# --- rasters of other programs
# ---------------------------------------------------------------------------------------


def write_foreign(path, values, **profile):
    options = {
        "driver": "GTiff",
        "count": 1,
        "height": 2,
        "width": 3,
        "crs": "EPSG:32633",
        "transform": Affine(10, 0, 0, 0, -10, 20),
    }
    with rasterio.open(path, "w", dtype=values.dtype, **{**options, **profile}) as target:
        target.write(values, 1)
    return path


def test_foreign_rasters_need_a_kind_and_their_nodata_becomes_nan(tmp_path):
    values = np.array([[1, -9999, 3], [4, 5, 6]], np.int16)
    path = write_foreign(tmp_path / "f.tif", values, nodata=-9999)
    with pytest.raises(DataError, match=r"band 1 \(without a name\) does not say its kind"):
        read_raster(path)
    with pytest.raises(UsageError, match='kind "elements" is unknown'):
        read_raster(path, kind="elements")
    read = read_raster(path, kind="continuous")
    assert np.isnan(read.values[0, 0, 1])
    assert read.values[0, 1].tolist() == [4, 5, 6]
    assert bands_of(read) == [Band("band_1", "continuous", "", "band_1")]
    assert grid_of(read).bounds == (0, 0, 30, 20)


@pytest.mark.parametrize(
    ("profile", "error", "message"),
    [
        ({"crs": None}, DataError, "has no CRS: assign one first"),
        ({"transform": Affine(10, 1, 0, 1, -10, 20)}, UsageError, "not north-up"),
        ({"transform": Affine(10, 0, 0, 0, 10, 20)}, UsageError, "not north-up"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rasters_that_cannot_be_placed_are_refused(tmp_path, profile, error, message):
    path = write_foreign(tmp_path / "f.tif", np.ones((2, 3), np.float32), **profile)
    with pytest.raises(error, match=message):
        read_raster(path)


def test_a_missing_or_broken_raster_is_refused(tmp_path):
    (tmp_path / "text.tif").write_text("hello")
    for name in ("text.tif", "nowhere.tif"):
        with pytest.raises(UsageError, match=f"{name} is not a raster that can be read") as caught:
            read_raster(tmp_path / name)
        assert caught.value.exit_code == 2


def test_the_published_stack_of_cloncurry_reads_as_it_is_described(real_area):
    path = real_area("cloncurry_iocg").with_name("cloncurry_iocg_stack.tif")
    array = read_raster(path, kind="continuous")
    grid = grid_of(array)
    assert sorted(grid.shape) == [1259, 2487]
    assert (grid.cell, grid.crs) == (100, CRS(7845))
    assert np.isfinite(array.values[-1]).sum() == 3_131_133
    deposits = gpd.read_file(real_area("cloncurry_iocg"), layer="deposits")
    assert len(deposits) == 258
    assert (grid.rowcol(deposits.geometry.x, deposits.geometry.y)[0] >= 0).all()


# --- arrays and bands
# ------------------------------------------------------------------------------------------------


def test_values_that_do_not_fit_their_grid_or_bands_are_refused():
    with pytest.raises(
        DataError, match=r"shape \(1, 5, 7\) does not hold 2 bands of \(5, 7\) cells"
    ):
        as_dataarray(np.zeros((1, 5, 7)), GRID, [Band("a"), Band("b")])
    with pytest.raises(DataError, match="two bands share a name: a, a"):
        as_dataarray(np.zeros((2, 5, 7)), GRID, [Band("a"), Band("a")])


def test_an_array_without_a_crs_is_refused():
    places = {"band": ["a"], "y": [1.0, 0.0], "x": [0.0, 1.0]}
    bare = xr.DataArray(np.zeros((1, 2, 2)), dims=("band", "y", "x"), coords=places)
    with pytest.raises(
        DataError, match=r"the raster has no CRS: assign one, for instance array\.rio\.write_crs"
    ):
        grid_of(bare)


def test_an_array_made_elsewhere_gets_defaults():
    bare = xr.DataArray(
        np.zeros((1, 2, 2)),
        dims=("band", "y", "x"),
        coords={"band": ["Cu"], "y": [150.0, 50.0], "x": [50.0, 150.0]},
    ).rio.write_crs(UTM)
    assert bands_of(bare) == [Band("Cu", "element", "", "")]
    assert grid_of(bare) == Grid.from_bounds((0, 0, 200, 200), 100, UTM)


@pytest.mark.parametrize(
    ("band", "label"),
    [
        (Band("Au", unit="ppb"), "Au (ppb)"),
        (Band("Au"), "Au"),
        (Band("Au", unit="ppb", description="Gold"), "Gold"),
    ],
)
def test_the_label_is_the_description_or_name_and_unit(band, label):
    assert band.label == label


def test_one_band_of_a_stack_is_a_stack_of_one():
    one = stack().sel(band=["geology"])
    assert bands_of(one) == [BANDS[1]]
    assert grid_of(one) == GRID


# --- vectors, tables, JSON
# -------------------------------------------------------------------------------------------


def two_layers():
    deposits = gpd.GeoDataFrame(
        {"name": ["Ä", "矿"], "n": [1, 2]}, geometry=[Point(1, 2), Point(3, 4)], crs=UTM
    )
    faults = gpd.GeoDataFrame({"kind": ["NE"]}, geometry=[LineString([(0, 0), (1, 1)])], crs=UTM)
    return {"deposits": deposits, "faults": faults}


def test_layers_read_back_with_their_crs_and_columns(tmp_path):
    layers = two_layers()
    path = write_layers(layers, tmp_path / "targets.gpkg")
    for name, frame in layers.items():
        read = gpd.read_file(path, layer=name)
        assert read.geometry.tolist() == frame.geometry.tolist()
        assert CRS(read.crs) == CRS(UTM)
        assert read.drop(columns="geometry").to_dict("list") == frame.drop(
            columns="geometry"
        ).to_dict("list")
    assert names(tmp_path) == ["targets.gpkg"]


def test_geopackages_are_of_the_version_and_geometry_name_that_qgis_expects(tmp_path):
    with sqlite3.connect(write_layers(two_layers(), tmp_path / "t.gpkg")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (10200,)
        columns = database.execute(
            "SELECT table_name, column_name FROM gpkg_geometry_columns"
        ).fetchall()
    assert sorted(columns) == [("deposits", "geom"), ("faults", "geom")]


def test_tables_keep_coordinates_to_the_centimetre_and_figures_to_six_digits(tmp_path):
    table = pd.DataFrame(
        {
            "name": ["Ä", "b"],
            "x": [421_630.127, 5.0],
            "y": [7_123_456.789, 7_123_456.0],
            "auc": [0.123456789, np.nan],
            "n": [3, 4],
        }
    )
    path = write_table(table, tmp_path / "t.csv")
    assert (
        path.read_text(encoding="utf-8")
        == "name,x,y,auc,n\nÄ,421630.13,7123456.79,0.123457,3\nb,5,7123456,,4\n"
    )


def test_small_and_large_numbers_keep_six_digits(tmp_path):
    values = [1.23456e-9, -0.00012345678, 9999.876, -54_321.5, 1e30]
    read = pd.read_csv(write_table(pd.DataFrame({"v": values}), tmp_path / "t.csv"))["v"]
    np.testing.assert_allclose(read, values, rtol=5e-6)


def test_json_has_null_where_numbers_are_missing_and_keeps_every_letter(tmp_path):
    content = {
        "auc": np.float64("nan"),
        "n": np.int64(3),
        "ok": np.bool_(True),
        "list": (1, np.array([0.5, np.inf])),
        7: "片岩",
    }
    path = write_json(content, tmp_path / "run.json")
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {
        "auc": None,
        "n": 3,
        "ok": True,
        "list": [1, [0.5, None]],
        "7": "片岩",
    }
    assert "片岩" in text
    assert "NaN" not in text


# --- complete or not there
# -------------------------------------------------------------------------------------------


class BrokenFrame(gpd.GeoDataFrame):
    def to_file(self, path, **_):
        path.with_name(path.name + "-journal").write_text("half")
        raise OSError("disk full")


def write_broken_layers(path, **options):
    return write_layers(
        {**two_layers(), "broken": BrokenFrame(geometry=[], crs=32633)}, path, **options
    )


def write_broken_raster(path, **options):
    array = stack()
    # No file holds half a letter: it fails in the last band, when the file is open.
    broken = with_making(array, {"fault_distance": {"a": "\ud800"}})
    return write_raster(broken, path, **options)


def write_broken_json(path, **options):
    return write_json({"a": 1, "b": object()}, path, **options)


BROKEN = [write_broken_layers, write_broken_raster, write_broken_json]


@pytest.mark.parametrize("write", BROKEN)
def test_a_write_that_fails_leaves_nothing_behind(tmp_path, write):
    with pytest.raises((OSError, TypeError, UnicodeEncodeError)):
        write(tmp_path / "result.out")
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", BROKEN)
def test_a_write_that_fails_leaves_the_older_result_as_it_was(tmp_path, write):
    path = tmp_path / "result.out"
    path.write_text("old")
    with pytest.raises((OSError, TypeError, UnicodeEncodeError)):
        write(path, overwrite=True)
    assert names(tmp_path) == ["result.out"]
    assert path.read_text() == "old"


WRITERS = {
    "raster.tif": (write_raster, stack),
    "layers.gpkg": (write_layers, two_layers),
    "table.csv": (write_table, lambda: pd.DataFrame({"a": [1]})),
    "run.json": (write_json, lambda: {"a": 1}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_an_older_result_is_overwritten_only_when_asked(tmp_path, name):
    write, make = WRITERS[name]
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(
        OutputExistsError, match=f"{name} exists: choose another name or allow it with --overwrite"
    ):
        write(make(), path)
    assert path.read_text() == "old"
    assert write(make(), path, overwrite=True) == path
    assert path.read_bytes() != b"old"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_names_with_brackets_and_blanks_leave_no_leftover(tmp_path, name):
    write, make = WRITERS[name]
    write(make(), tmp_path / f"a [1]* {name}")
    assert names(tmp_path) == [f"a [1]* {name}"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_is_not_there_is_refused(tmp_path, name):
    write, make = WRITERS[name]
    with pytest.raises(
        UsageError, match="nowhere does not exist: create it or choose another place"
    ):
        write(make(), tmp_path / "nowhere" / name)


def test_nothing_stands_under_the_final_name_before_the_end(tmp_path):
    path = tmp_path / "slow.txt"
    with finished_file(path) as beside:
        beside.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"


def test_a_result_that_exists_is_refused_before_the_work(tmp_path):
    path = tmp_path / "done.tif"
    refuse_existing(path, overwrite=False)
    path.touch()
    refuse_existing(path, overwrite=True)
    with pytest.raises(GeomfafError) as caught:
        refuse_existing(path, overwrite=False)
    assert isinstance(caught.value, FileExistsError)
    assert caught.value.exit_code == 1


def test_a_virtual_file_called_tif_is_refused(tmp_path):
    """It could point at other files, and at addresses on the network."""
    secret = write_raster(make_stack(make_grid(4, 4)), tmp_path / "secret.tif")
    with rasterio.open(secret) as source, WarpedVRT(source) as virtual:
        rasterio.shutil.copy(virtual, tmp_path / "shown.tif", driver="VRT")
    assert rasterio.open(tmp_path / "shown.tif").count == 4  # GDAL would open it
    with pytest.raises(UsageError, match="not a raster that can be read"):
        read_raster(tmp_path / "shown.tif")


def test_a_raster_larger_than_the_memory_is_refused_before_it_is_read(tmp_path):
    profile = {"driver": "GTiff", "width": 400_000, "height": 400_000, "count": 1}
    path = tmp_path / "sparse.tif"
    kind = {"dtype": "float32", "crs": "EPSG:32633", "sparse_ok": True, "tiled": True}
    place = rasterio.transform.from_origin(500_000, 6_000_000, 10, 10)
    with rasterio.open(path, "w", **profile, **kind, transform=place, bigtiff="yes"):
        pass
    with pytest.raises(UsageError, match="GB"):
        read_raster(path, kind="continuous")


def test_a_sparse_raster_that_cannot_be_used_is_refused_unread(tmp_path):
    """A file of a few kilobytes that would unpack to 400 MB, several times over."""
    path = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "width": 10_000, "height": 10_000, "count": 1}
    kind = {"dtype": "float32", "crs": "EPSG:32633", "sparse_ok": True, "tiled": True}
    place = rasterio.transform.from_origin(500_000, 6_000_000, 10, 10)
    with rasterio.open(path, "w", **profile, **kind, transform=place):
        pass
    tracemalloc.start()
    with pytest.raises(DataError, match="does not say its kind"):
        read_raster(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6
