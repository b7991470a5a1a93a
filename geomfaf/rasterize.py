"""Turn the geological map and the faults into bands: classes, distance, presence, density."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from rasterio.features import geometry_mask, rasterize
from scipy.ndimage import convolve
from scipy.signal import oaconvolve

from .bands import Band, as_dataarray
from .errors import UsageError
from .grid import Grid
from .progress import track
from .read import class_column

SUBCELLS = 8
"""Each cell is cut into 8 x 8 parts to find the class with the largest share of it."""

GEOLOGY_RULES = ("largest", "centre")
FAULT_BANDS = {
    "distance": Band("fault_distance", "distance", "m", "Distance to nearest fault (m)"),
    "presence": Band("fault_presence", "presence", "", "Fault in cell"),
    "density": Band("fault_density", "density", "km/km2", "Fault density (km/km2)"),
}


def study_area_mask(study_area: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return which cell centres lie inside the study area, (y, x) bool."""
    grid.require_crs(study_area.crs, "study area's polygons")
    return geometry_mask(study_area.geometry, grid.shape, grid.transform, invert=True)


def rasterize_geology(
    geology: gpd.GeoDataFrame, column: str, grid: Grid, *, rule: str = "largest"
) -> tuple[np.ndarray, dict[int, str]]:
    """Rasterize polygons to class numbers.

    Parameters
    ----------
    geology : GeoDataFrame
        Polygons in the CRS of the grid; where they overlap, the later one in the file counts.
    column : str
        Column with the class names; rows without a name are unmapped ground.
    rule : {"largest", "centre"}
        ``"largest"`` gives a cell to the class that covers most of it (unmapped ground takes part; shares to
        1/64 of a cell; the lower number wins a tie), ``"centre"`` to the class at its centre.

    Returns
    -------
    classes : ndarray
        uint16 (y, x), 0 = no polygon.
    legend : dict
        Number -> name, numbered from 1 in alphabetical order.
    """
    if rule not in GEOLOGY_RULES:
        raise UsageError(f'geology rule "{rule}" is unknown: use one of {", ".join(GEOLOGY_RULES)}.')
    grid.require_crs(geology.crs, "geology's polygons")
    names = geology[column].astype("string").str.strip()
    known = (names.notna() & (names != "")).to_numpy(bool)
    legend = {number: str(name) for number, name in enumerate(sorted(names[known].unique()), start=1)}
    number_of = {name: number for number, name in legend.items()}
    shapes = [(s, number_of[n]) for s, n in zip(geology.geometry[known], names[known], strict=True)]
    if rule == "centre" or not shapes:
        return _burn(shapes, grid), legend
    tree = shapely.STRtree([shape for shape, _ in shapes])
    classes = np.zeros(grid.shape, np.uint16)
    for row, col, block in track(list(grid.blocks(256)), "rasterizing geology", unit="blocks"):
        near = np.sort(tree.query(shapely.box(*block.bounds)))
        fine = _burn([shapes[i] for i in near], block.refined(SUBCELLS))
        classes[row : row + block.height, col : col + block.width] = _largest_share(fine)
    return classes, legend


def fault_distance(faults: gpd.GeoDataFrame, grid: Grid, *, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the exact distance from each cell centre to the nearest fault line.

    Parameters
    ----------
    mask : ndarray, optional
        (y, x) bool; cells outside stay NaN.

    Returns
    -------
    ndarray
        float32 (y, x), metres.

    Examples
    --------
    >>> line = gpd.GeoDataFrame(geometry=[shapely.LineString([(50, 0), (50, 100)])], crs=32633)
    >>> fault_distance(line, Grid.from_bounds((0, 0, 300, 100), 100, 32633)).tolist()
    [[0.0, 100.0, 200.0]]
    """
    grid.require_crs(faults.crs, "faults")
    tree = shapely.STRtree(_segments(faults))
    wanted = np.flatnonzero(np.ones(grid.size, bool) if mask is None else mask.ravel())
    distance = np.full(grid.size, np.nan, np.float32)
    for cells in track(np.array_split(wanted, max(1, len(wanted) // 50_000)), "measuring fault distance"):
        x, y = grid.xy(*np.divmod(cells, grid.width))
        points = shapely.points(x, y)
        (index, _), nearest = tree.query_nearest(points, return_distance=True, all_matches=False)
        distance[cells[index]] = nearest
    return distance.reshape(grid.shape)


def fault_presence(faults: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return 1 where a fault touches the cell, else 0; float32 (y, x)."""
    grid.require_crs(faults.crs, "faults")
    shapes = [(shape, 1) for shape in faults.geometry]
    return _burn(shapes, grid, all_touched=True).astype(np.float32)


def fault_density(faults: gpd.GeoDataFrame, grid: Grid, *, radius: float | None = None) -> np.ndarray:
    """Return the length of faults within a radius of each cell centre, per area.

    Lines are cut into pieces of a tenth of a cell, each counted in the cell of its midpoint. Ground beyond the
    grid is not counted, neither its faults nor its area.

    Parameters
    ----------
    radius : float, optional
        Metres; ten cells by default.

    Returns
    -------
    ndarray
        float32 (y, x), km of fault per km2.
    """
    grid.require_crs(faults.crs, "faults")
    radius = 10 * grid.cell if radius is None else radius
    pieces = shapely.segmentize(_segments(faults), grid.cell / 10)
    ends = shapely.get_coordinates(pieces)
    line = shapely.get_coordinates(pieces, return_index=True)[1]
    joined = np.flatnonzero(line[1:] == line[:-1])
    middle = (ends[joined] + ends[joined + 1]) / 2
    lengths = np.hypot(*(ends[joined + 1] - ends[joined]).T)
    rows, cols = grid.rowcol(middle[:, 0], middle[:, 1])
    inside = rows >= 0
    length = np.zeros(grid.shape)
    np.add.at(length, (rows[inside], cols[inside]), lengths[inside])
    reach = int(radius // grid.cell)
    near = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * grid.cell <= radius
    total = _sum_within(length, near)
    area = _sum_within(np.ones(grid.shape), near) * grid.cell_area
    return (np.maximum(total, 0) / 1e3 / (area / 1e6)).astype(np.float32)


def vector_band(
    layer: gpd.GeoDataFrame, grid: Grid, kind: str, *, column: str | None = None, rule: str = "largest"
) -> xr.DataArray:
    """Return one band of a layer as a DataArray: ``geology`` classes, or a fault band by name."""
    if kind == "geology":
        column = class_column(layer, column)
        classes, legend = rasterize_geology(layer, column, grid, rule=rule)
        values = np.where(classes > 0, classes.astype(np.float32), np.nan)
        return as_dataarray(values[None], grid, [Band("geology", "class", "", f"Geology ({column})", legend)])
    return as_dataarray(np.stack(fault_bands(layer, grid, [kind])), grid, [FAULT_BANDS[kind]])


def fault_bands(
    faults: gpd.GeoDataFrame, grid: Grid, kinds: Sequence[str], *, mask: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return one (y, x) band for each of ``kinds``: distance, presence, density."""
    make = {
        "distance": lambda: fault_distance(faults, grid, mask=mask),
        "presence": lambda: fault_presence(faults, grid),
        "density": lambda: fault_density(faults, grid),
    }
    for kind in kinds:
        if kind not in make:
            raise UsageError(f'fault band "{kind}" is unknown: use {", ".join(FAULT_BANDS)}.')
    return [make[kind]() for kind in kinds]


def _burn(shapes: list, grid: Grid, *, all_touched: bool = False) -> np.ndarray:
    if not shapes:
        return np.zeros(grid.shape, np.uint16)
    return rasterize(shapes, grid.shape, transform=grid.transform, fill=0, dtype=np.uint16, all_touched=all_touched)


def _largest_share(fine: np.ndarray) -> np.ndarray:
    """Return the commonest class of each SUBCELLS x SUBCELLS part; the lower number wins a tie."""
    rows, cols = fine.shape[0] // SUBCELLS, fine.shape[1] // SUBCELLS
    parts = fine.reshape(rows, SUBCELLS, cols, SUBCELLS)
    best, count = np.zeros((rows, cols), np.uint16), np.zeros((rows, cols), np.uint8)
    for number in np.unique(fine):
        here = (parts == number).sum(axis=(1, 3), dtype=np.uint8)
        better = here > count
        best[better], count[better] = number, here[better]
    return best


def _segments(faults: gpd.GeoDataFrame) -> np.ndarray:
    """Return the straight pieces of all lines: a search tree of pieces is far tighter than one of long lines."""
    coordinates, line = shapely.get_coordinates(shapely.get_parts(faults.geometry.to_numpy()), return_index=True)
    start = np.flatnonzero(line[1:] == line[:-1])
    return shapely.linestrings(np.stack([coordinates[start], coordinates[start + 1]], axis=1))


def _sum_within(values: np.ndarray, near: np.ndarray) -> np.ndarray:
    if near.size <= 49:
        return convolve(values, near.astype(float), mode="constant")
    return oaconvolve(values, near.astype(float), mode="same")
