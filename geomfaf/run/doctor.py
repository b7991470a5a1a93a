"""Nothing goes in; what a bug report needs to know of this machine comes out, and a self-test."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyogrio
import pyproj
import rasterio
from rasterio.drivers import raster_driver_extensions

from ..evidence.inverse_distance import idw_points
from ..files import library_versions
from ..rasters.bands import Band, as_dataarray
from ..rasters.geotiff import read_raster, write_raster
from ..rasters.grid import Grid

NEEDED = ("GPKG", "ESRI Shapefile", "GeoJSON", "CSV")


def machine_report() -> dict[str, str]:
    """Return versions, drivers, data, devices, threads, memory and disk, in words."""
    import torch

    drivers = pyogrio.list_drivers()
    there = [name for name in NEEDED if name in drivers]
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(Path.cwd())
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": sys.version.split()[0],
        **{name: text for name, text in library_versions().items() if name != "python"},
        "gdal of rasterio": rasterio.__gdal_version__,
        "gdal of pyogrio": ".".join(map(str, pyogrio.__gdal_version__)),
        "vector drivers": ", ".join(there),
        "raster drivers": "GTiff, COG" if "tif" in raster_driver_extensions() else "no GTiff",
        "proj": f"{pyproj.proj_version_str}, data {'found' if _proj_works() else 'missing'}",
        "devices": ", ".join(devices),
        "cores": f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads",
        "memory": f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
        "disk": f"{disk.free / 1e9:.1f} of {disk.total / 1e9:.1f} GB free here",
    }


def _proj_works() -> bool:
    try:
        return pyproj.CRS.from_epsg(32650).is_projected
    except pyproj.exceptions.ProjError:
        return False


def self_test() -> list[tuple[str, bool, float]]:
    """Return name, success and seconds of a few checks, each against a result known otherwise."""
    found = []
    for name, test in (
        ("a raster is read back as it was written", _raster_survives),
        ("inverse-distance weighting agrees with its formula", _idw_agrees),
        ("a network learns to tell two classes apart", _network_learns),
    ):
        began = time.monotonic()
        passed = test()
        found.append((name, passed, round(time.monotonic() - began, 1)))
    return found


def _raster_survives() -> bool:
    """Write a raster whose values grow to the north, with a marker in one corner; read it back."""
    grid = Grid.from_bounds((400_000, 2_400_000, 402_000, 2_401_000), 100, 32650)
    values = np.linspace(1, 0, grid.height)[:, None] + np.zeros(grid.shape)
    values[0, 0] = 9
    bands = [Band("north", "element", "ppm", "grows to the north")]
    array = as_dataarray(values[None].astype(np.float32), grid, bands)
    with tempfile.TemporaryDirectory() as folder:
        path = write_raster(array, Path(folder) / "north.tif")
        return bool(np.array_equal(read_raster(path).values, array.values))


def _idw_agrees() -> bool:
    """Compare the engine with the sum written out."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 1000, (30, 2))
    values = rng.lognormal(size=30)
    at = rng.uniform(0, 1000, (20, 2))
    distance = np.hypot(*(at[:, None, :] - xy[None]).T).T
    weights = 1 / distance**2
    expected = (weights * values).sum(axis=1) / weights.sum(axis=1)
    found = idw_points(xy, values[None], at, neighbours=None)
    return bool(np.allclose(np.ravel(found), expected, rtol=1e-5))


def _network_learns() -> bool:
    """Fit a line between two clouds of points by gradient descent."""
    import torch

    torch.manual_seed(0)
    x = torch.cat([torch.randn(50, 2) - 2, torch.randn(50, 2) + 2])
    y = torch.cat([torch.zeros(50), torch.ones(50)])
    net = torch.nn.Linear(2, 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(50):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], y)
        loss.backward()
        optimiser.step()
    return bool(((net(x)[:, 0] > 0) == (y > 0)).float().mean() > 0.9)
