import json
import os
import signal
import subprocess
import sys
import time

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import CRS
from shapely import Point

from geomfaf.errors import OutputExistsError, UsageError
from geomfaf.evidence.inverse_distance import IdwOptions, idw_grid, idw_to_file, plan_grid
from geomfaf.rasters import blocks as runner
from geomfaf.rasters import stream
from geomfaf.rasters.bands import Band, making_of_bands
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid

UTM = CRS.from_epsg(32633)
GRID = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_010_000), (700, 1100))


@pytest.fixture
def samples():
    rng = np.random.default_rng(1)
    xy = rng.uniform((500_000, 5_003_000), (511_000, 5_010_000), (300, 2))
    columns = {"Au": rng.lognormal(0, 1, 300), "Cu": rng.lognormal(3, 1, 300)}
    return gpd.GeoDataFrame(columns, geometry=[Point(p) for p in xy], crs=UTM)


SEARCH = {
    "radius": 900.0,
    "units": {"Au": "ppb", "Cu": "ppm"},
    "options": IdwOptions(engine="numba", extras=("count",)),
}


@pytest.mark.parametrize("cog", [False, True])
def test_a_streamed_geotiff_is_the_grid_in_memory(tmp_path, samples, cog):
    path = idw_to_file(samples, ["Au", "Cu"], GRID, tmp_path / "au.tif", cog=cog, **SEARCH)
    expected = idw_grid(samples, ["Au", "Cu"], GRID, **SEARCH)
    found = read_raster(path)
    assert making_of_bands(found)["Au"]["idw_radius"] == "900"
    xr.testing.assert_identical(found, expected)
    with rasterio.open(path) as source:
        tags = source.tags(1)
        assert tags["idw_neighbours"] == "12"
        assert source.profile["compress"].lower() == "zstd"
        assert source.descriptions[0] == "Au (ppb), IDW"
        assert bool(source.overviews(1)) == cog
        valid = expected.values[0][np.isfinite(expected.values[0])]
        assert float(tags["STATISTICS_MEAN"]) == pytest.approx(valid.mean(dtype=float), rel=1e-6)
        assert float(tags["STATISTICS_STDDEV"]) == pytest.approx(valid.std(dtype=float), rel=1e-5)
    assert os.listdir(tmp_path) == ["au.tif"]


def test_a_streamed_zarr_store_is_the_grid_in_memory(tmp_path, samples):
    pytest.importorskip("zarr")
    path = idw_to_file(samples, ["Au", "Cu"], GRID, tmp_path / "au.zarr", **SEARCH)
    expected = idw_grid(samples, ["Au", "Cu"], GRID, **SEARCH)
    with xr.open_dataset(path, engine="zarr", decode_coords="all") as found:
        np.testing.assert_array_equal(found["bands"].values, expected.values)
        assert found["bands"].rio.crs == expected.rio.crs
        assert found["unit"].values.tolist() == ["ppb", "ppm", ""]
        assert found["bands"].rio.transform() == GRID.transform
    assert os.listdir(tmp_path) == ["au.zarr"]


@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_a_restart_goes_on_where_it_stopped(tmp_path, suffix, monkeypatch):
    if suffix == "zarr":
        pytest.importorskip("zarr")
    monkeypatch.setattr(runner, "cores", lambda: 1)
    path, computed = tmp_path / f"rows.{suffix}", []

    def compute(row, column, height, width, *, until=99):
        computed.append((row, column))
        if len(computed) > until:
            raise KeyboardInterrupt
        return np.full((1, height, width), row + column / 1000, np.float32)

    with pytest.raises(KeyboardInterrupt):
        stream.stream_raster(path, GRID, [Band("v")], lambda *w: compute(*w, until=3), job="a")
    assert not path.exists()
    assert list(stream.unfinished(tmp_path)) == [path]
    journal = (tmp_path / f".rows.{suffix}.journal").read_text().splitlines()
    kept = {tuple(json.loads(line)[0][:2]) for line in journal[1:]}
    computed.clear()
    stream.stream_raster(path, GRID, [Band("v")], compute, job="a")
    assert kept
    assert not kept & set(computed)
    assert len(kept) + len(computed) == 6
    assert not list(stream.unfinished(tmp_path))
    if suffix == "tif":
        found = read_raster(path).values[0]
        assert [found[0, 0], found[0, -1], found[-1, 0]] == pytest.approx([0, 1.024, 512])


def test_a_damaged_block_and_another_job_are_computed_anew(tmp_path):
    path = tmp_path / "v.tif"
    kept = []

    def compute(row, column, height, width):
        kept.append((row, column))
        if row and column == 1024:
            raise RuntimeError("out of power")
        return np.full((1, height, width), 5, np.float32)

    with pytest.raises(RuntimeError):
        stream.stream_raster(path, GRID, [Band("v")], compute, job="a")
    journal = tmp_path / ".v.tif.journal"
    lines = journal.read_text().splitlines()
    lines[1] = lines[1].replace('"crc": ', '"crc": 1')
    journal.write_text("\n".join(lines) + "\n")
    good = []

    def fine(row, column, height, width):
        good.append((row, column))
        return np.full((1, height, width), 5, np.float32)

    stream.stream_raster(path, GRID, [Band("v")], fine, job="a")
    assert (0, 0) in good
    assert len(good) == 2
    with pytest.raises(OutputExistsError):
        stream.stream_raster(path, GRID, [Band("v")], fine, job="a")
    stream.stream_raster(path, GRID, [Band("v")], fine, job="b", overwrite=True)
    assert len(good) == 8


def test_a_killed_process_leaves_no_broken_file(tmp_path):
    """SIGKILL in the middle; what was journaled is kept, and the second run completes the file."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time, numpy as np\n"
        "from affine import Affine\n"
        "from geomfaf.rasters import stream\n"
        "from geomfaf.rasters.bands import Band\n"
        "from geomfaf.rasters.grid import Grid\n"
        "stream.CHECKPOINT = 0.0\n"
        "grid = Grid.from_bounds((0, 0, 4096, 4096), 1, 32633)\n"
        "def compute(row, column, height, width):\n"
        "    time.sleep(float(sys.argv[2]))\n"
        "    return np.full((1, height, width), row + column, np.float32)\n"
        "stream.stream_raster(sys.argv[1], grid, [Band('v')], compute, job='k')\n"
    )
    path, journal = tmp_path / "v.tif", tmp_path / ".v.tif.journal"
    process = subprocess.Popen([sys.executable, script, path, "0.05"])
    while not journal.exists() or journal.read_text().count("\n") < 6:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    subprocess.run([sys.executable, script, path, "0"], check=True)
    values = read_raster(path).values[0]
    assert (
        values[::512, ::512] == np.add.outer(np.arange(0, 4096, 512), np.arange(0, 4096, 512))
    ).all()
    assert np.isfinite(values).all()


def test_the_name_decides_the_format(tmp_path, samples):
    with pytest.raises(UsageError, match="for GeoTIFF or"):
        idw_to_file(samples, ["Au"], GRID, tmp_path / "au.png")


@pytest.mark.slow
def test_a_cluster_of_processes_gives_the_same_bits(tmp_path, samples):
    """Two worker processes against local threads: file and dask array, k-nearest and far field."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as workers:
        for neighbours in (12, None):
            search = {"neighbours": neighbours, "options": IdwOptions(engine="numba")}
            expected = idw_grid(samples, ["Au", "Cu"], GRID, **search)
            path = tmp_path / f"au{neighbours}.tif"
            idw_to_file(
                samples, ["Au", "Cu"], GRID, path, scheduler=workers.scheduler_address, **search
            )
            np.testing.assert_array_equal(read_raster(path).values, expected.values)
            plan, bands = plan_grid(samples, ["Au", "Cu"], GRID, **search)
            with workers.get_client():
                lazy = runner.dask_blocks(plan.prepare().block, GRID, len(bands))
                assert lazy.chunks == ((2,), (512, 188), (512, 512, 76))
                np.testing.assert_array_equal(lazy.compute(), expected.values)
