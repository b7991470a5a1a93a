"""The other tools: how each is called for the same job, whole process or computation only.

Every function returns one band as an array (rows, columns), north-up, to be compared.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numba
import numpy as np
import rasterio
from points import BANDS, SIDE

from geomfaf.rasters.blocks import cores
from geomfaf.rasters.grid import Grid

POWER = 2.0
CHUNK = 200_000


def run(command: list[object], timeout: float = 900) -> None:
    """Run a tool quietly; its output is shown when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-500:]}")


def first_band(path: Path) -> np.ndarray:
    """Read the first band, nodata as NaN."""
    with rasterio.open(path) as source:
        return source.read(1, masked=True).astype(float).filled(np.nan)


def geomfaf_command(
    folder: Path, grid: Grid, neighbours: int | None, radius: float | None
) -> list[object]:
    """Return what a user types to grid eight bands, into geomfaf.tif."""
    command = [
        *(sys.executable, "-m", "geomfaf", "--progress", "none", "grid"),
        *(folder / "points.gpkg", folder / "geomfaf.tif", "--overwrite", "--no-errors"),
        *("--elements", ",".join(f"e{number}" for number in range(BANDS))),
        *("--cell", grid.cell, "--bounds", ",".join(map(str, grid.bounds))),
        *("--neighbours", neighbours or 0),
    ]
    return command if radius is None else [*command, "--radius", radius]


def geomfaf_process(
    folder: Path, grid: Grid, neighbours: int | None, radius: float | None
) -> np.ndarray:
    """Eight bands by one command."""
    run(geomfaf_command(folder, grid, neighbours, radius))
    return first_band(folder / "geomfaf.tif")


def gdal_grid_process(
    folder: Path, grid: Grid, neighbours: int | None, radius: float | None
) -> np.ndarray:
    """One band by gdal_grid."""
    out = folder / "gdal.tif"
    if neighbours is None and radius is None:
        algorithm = f"invdist:power={POWER}:smoothing=0:nodata=nan"
    else:
        algorithm = f"invdistnn:power={POWER}:radius={radius or 10 * SIDE}:max_points={neighbours or 0}:nodata=nan"
    west, south, east, north = grid.bounds
    run([
        "gdal_grid", "-q", "-a", algorithm, "-zfield", "e0", "-l", "points", "-txe", west, east, "-tye", north, south,
        "-outsize", grid.width, grid.height, "-ot", "Float32", "-co", "TILED=YES", folder / "points.gpkg", out,
    ])  # fmt: skip
    return first_band(out)


def saga_process(
    folder: Path, grid: Grid, neighbours: int | None, radius: float | None
) -> np.ndarray:
    """One band by SAGA; its grid system counts cell centres."""
    out = folder / "saga.sgrd"
    half = grid.cell / 2
    west, south, east, north = grid.bounds
    run([
        "saga_cmd", "-f=s", "grid_gridding", "1", "-POINTS", folder / "points.shp", "-FIELD", "e0",
        "-TARGET_DEFINITION", 0, "-TARGET_USER_SIZE", grid.cell, "-TARGET_USER_XMIN", west + half,
        "-TARGET_USER_XMAX", east - half, "-TARGET_USER_YMIN", south + half, "-TARGET_USER_YMAX", north - half,
        "-TARGET_USER_FITS", 0, "-TARGET_OUT_GRID", out, "-SEARCH_RANGE", 0 if radius else 1,
        "-SEARCH_RADIUS", radius or 10 * SIDE, "-SEARCH_POINTS_ALL", 0 if neighbours else 1,
        "-SEARCH_POINTS_MAX", neighbours or 20, "-DW_WEIGHTING", 1, "-DW_IDW_POWER", POWER,
    ])  # fmt: skip
    return first_band(out.with_suffix(".sdat"))


WHITEBOX = """
import sys, whitebox_workflows
tools = whitebox_workflows.WbEnvironment()
folder, radius = sys.argv[1:]
points, base = tools.read_vector(folder + "/points.shp"), tools.read_raster(folder + "/base.tif")
result = tools.raster.general.idw_interpolation(
    points=points, field_name="e0", weight=2.0, radius=float(radius), base_raster=base)
tools.write_raster(result, folder + "/whitebox.tif")
"""


def whitebox_process(
    folder: Path, grid: Grid, neighbours: int | None, radius: float | None
) -> np.ndarray:
    """One band by WhiteboxTools, which has a radius and no number of neighbours."""
    base = folder / "base.tif"
    if not base.exists():
        profile = {
            "driver": "GTiff",
            "count": 1,
            "dtype": "float32",
            "height": grid.height,
            "width": grid.width,
        }
        with rasterio.open(
            base, "w", **profile, crs="EPSG:32633", transform=grid.transform, nodata=-32768
        ) as file:
            file.write(np.ones((1, *grid.shape), np.float32))
    run([sys.executable, "-c", WHITEBOX, folder, radius])
    return first_band(folder / "whitebox.tif")


def cell_centres(grid: Grid) -> np.ndarray:
    """Return (cells, 2) coordinates."""
    return np.column_stack(grid.xy(*np.divmod(np.arange(grid.size), grid.width)))


def scipy_numpy(
    xy: np.ndarray, values: np.ndarray, grid: Grid, neighbours: int, radius: float | None
) -> np.ndarray:
    """All bands by scipy's tree, on all cores, and numpy."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy)
    targets = cell_centres(grid)
    parts = []
    for start in range(0, len(targets), CHUNK):
        distance, index = tree.query(
            targets[start : start + CHUNK],
            neighbours,
            distance_upper_bound=radius or np.inf,
            workers=-1,
        )
        weight = 1 / np.maximum(distance, 1e-9) ** 2
        with np.errstate(invalid="ignore"):
            parts.append(
                (values[:, np.where(np.isfinite(distance), index, 0)] * weight).sum(2)
                / weight.sum(1)
            )
    return np.concatenate(parts, axis=1).astype(np.float32)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _weigh(squared, index, values, out):
    """Weight neighbours of one chunk: squared distances, infinite where there is none."""
    bands = values.shape[1]
    for t in range(squared.shape[0]):
        total = 0.0
        for b in range(bands):
            out[b, t] = 0.0
        for k in range(squared.shape[1]):
            if squared[t, k] < np.inf:
                weight = 1.0 / max(squared[t, k], 1e-18)
                total += weight
                for b in range(bands):
                    out[b, t] += weight * values[index[t, k], b]
        for b in range(bands):
            out[b, t] = out[b, t] / total


def pykdtree_compiled(
    xy: np.ndarray, values: np.ndarray, grid: Grid, neighbours: int, radius: float | None
) -> np.ndarray:
    """All bands by pykdtree (OpenMP) and compiled weights on all cores: the best that parts on the
    shelf give.
    """
    from pykdtree.kdtree import KDTree

    tree = KDTree(xy)
    targets = cell_centres(grid)
    by_sample = np.ascontiguousarray(values.T)
    out = np.empty((len(values), len(targets)), np.float32)
    distance, index = tree.query(targets, k=neighbours, distance_upper_bound=radius, sqr_dists=True)

    def part(start: int) -> None:
        piece = slice(start, start + CHUNK)
        _weigh(distance[piece], index[piece], by_sample, out[:, piece])

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(part, range(0, len(targets), CHUNK)))
    return out


def scikit_learn(
    xy: np.ndarray, values: np.ndarray, grid: Grid, neighbours: int, radius: float | None
) -> np.ndarray:
    """All bands by KNeighborsRegressor, on all cores; it has no radius."""
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(
        neighbours, weights=lambda d: 1 / np.maximum(d, 1e-9) ** 2, n_jobs=-1
    )
    model.fit(xy, values.T)
    targets = cell_centres(grid)
    parts = [
        model.predict(targets[start : start + CHUNK]).T for start in range(0, len(targets), CHUNK)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def available(name: str) -> bool:
    """Say whether a command or a Python package is installed."""
    return shutil.which(name) is not None or find_spec(name) is not None


PROCESSES: dict[str, tuple[str, Callable]] = {
    "gdal_grid": ("gdal_grid", gdal_grid_process),
    "SAGA": ("saga_cmd", saga_process),
    "WhiteboxTools": ("whitebox_workflows", whitebox_process),
}
COMPUTATIONS: dict[str, tuple[str, Callable]] = {
    "scipy cKDTree + numpy": ("scipy", scipy_numpy),
    "pykdtree + compiled weights": ("pykdtree", pykdtree_compiled),
    "scikit-learn": ("sklearn", scikit_learn),
}
