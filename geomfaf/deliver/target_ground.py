"""Scores go in; numbered ground comes out: the best of it, giants split at saddles, as outlines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from rasterio.features import rasterize, shapes
from scipy import ndimage
from scipy.cluster.hierarchy import DisjointSet
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from ..errors import DataError
from ..rasters.grid import Grid
from ..settings.check import require_settings

HARDLY = 0.05
"""A saddle that lies less than this share of the lower peak's height below it parts nothing."""

SLACK = 1.5
"""So many times the stated largest target two summits may cover together that nothing parts."""

LEAST_CELLS = 16
"""Holes and specks of fewer cells are no shapes: a map scored every fourth cell resolves nothing
smaller.
"""

TARGETS = 10
"""A target covers at most this part of the ground that exploration targets take: a list has ten
of them or more.
"""

SMALL = 4
"""The smallest target is at most this part of what the largest may be, however few the samples
are.
"""

ROWS = 256
"""Rows of cells whose distances are looked for at once."""

OUTLINE = 1.5
"""Cells; corners of an outline that enclose less than the square of this are cut."""


@dataclass(frozen=True)
class GroundRules:
    """How much ground targets take and how large one is.

    Attributes
    ----------
    window : int
        Cells; summits closer than this are one.
    wanted : float
        Cells of all exploration targets.
    most, least : float
        Cells of the largest and of the smallest target.
    known_distance : float
        Metres around a known deposit that are known ground; 0 = all ground is alike.
    """

    window: int
    wanted: float
    most: float
    least: float
    known_distance: float


def metres_to(deposits: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return metres from every cell's centre to the nearest deposit, (y, x); infinite without
    one.
    """
    if not len(deposits):
        return np.full(grid.shape, np.inf)
    tree = cKDTree(shapely.get_coordinates(deposits.geometry.to_numpy()))
    distance = np.empty(grid.shape)
    # Some rows at a time: the coordinates of all cells are twice the answer, and are needed twice.
    for first in range(0, grid.height, ROWS):
        rows = slice(first, first + ROWS)
        centres = np.stack(np.meshgrid(grid.x, grid.y[rows]), axis=-1)
        distance[rows], _ = tree.query(centres, workers=-1)
    return distance


def sized_rules(
    score: np.ndarray,
    away: np.ndarray,
    samples: gpd.GeoDataFrame | None,
    grid: Grid,
    *,
    window: int,
    area_share: float,
    known_distance: float | None = None,
    max_km2: float | None = None,
) -> GroundRules:
    """Return the rules that the data suggest, or the user says.

    Parameters
    ----------
    score : ndarray
        (y, x), NaN = nodata.
    away : ndarray
        (y, x) metres to the nearest known deposit.
    samples : GeoDataFrame or None
        In the grid's CRS. One sample's share of the ground is the smallest target, as the samples
        resolve nothing smaller; their mean spacing, or half a window where that is larger, is how
        far known ground reaches, so long as half of the area is left.
    """
    asked = {
        "area_share": area_share,
        "known_distance": known_distance,
        "max_km2": max_km2,
    }
    require_settings("targets", asked)
    valid = np.isfinite(score)
    if not valid.any():
        raise DataError("no cell of the raster has a score: nothing can become a target.")
    # 1. The largest target: the user's, or so that a list has enough of them.
    cells = int(valid.sum())
    wanted = area_share * cells
    most = wanted / TARGETS
    if max_km2 is not None:
        most = max_km2 * 1e6 / grid.cell_area
    most = max(most, LEAST_CELLS)
    # 2. The smallest target and the reach of known ground: what one sample stands for.
    least = float(LEAST_CELLS)
    reach = window / 2 * grid.cell
    if samples is not None and len(samples):
        share = cells / max(1, _samples_on(valid, samples, grid))
        not_above = min(most, wanted / TARGETS) / SMALL
        least = max(least, min(share, not_above))
        spacing = float(np.sqrt(share * grid.cell_area))
        reach = max(reach, spacing)
    # 3. Known ground takes half of the area at most, unless the user says how far it reaches.
    reach = min(reach, float(np.median(away[valid])))
    if known_distance is not None:
        reach = float(known_distance)
    return GroundRules(window, wanted, most, least, reach)


def _samples_on(
    valid: np.ndarray,
    samples: gpd.GeoDataFrame,
    grid: Grid,
) -> int:
    """Return how many samples lie on valid ground."""
    rows, cols = grid.rowcol(samples.geometry.x, samples.geometry.y)
    on_grid = rows >= 0
    return int(valid[rows[on_grid], cols[on_grid]].sum())


def known_and_new_ground(
    score: np.ndarray,
    away: np.ndarray,
    grid: Grid,
    rules: GroundRules,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Number the ground of exploration targets and the ground around known deposits.

    Both may take the wanted area at most; the ground around deposits scores as high as the
    exploration targets do, or higher.

    Returns
    -------
    labels : ndarray
        (y, x) int32, 0 = none.
    explored : ndarray
        The numbers of exploration targets.
    threshold : float
        The score that all of it reaches, but for holes of a few cells.
    """
    # Two cells more: smoothing moves an outline by about one.
    margin = 2 * grid.cell if rules.known_distance > 0 else 0.0
    new = away >= rules.known_distance + margin
    labels, threshold = best_ground(score, new, rules.wanted, rules.least)
    labels = split_giants(score, labels, rules)
    explored = np.arange(1, labels.max() + 1)
    around = np.zeros_like(labels)
    if np.isfinite(score[~new]).any():
        around, level = best_ground(score, ~new, rules.wanted, rules.least)
        if level < threshold:
            around = pieces_of(~new & (score >= threshold), rules.least)
        around = split_giants(score, around, rules)
    # The ground around deposits is numbered after the exploration targets.
    behind = around + labels.max()
    labels = np.where(around > 0, behind, labels)
    return labels, explored, threshold


def best_ground(
    score: np.ndarray,
    allowed: np.ndarray,
    wanted: float,
    least: float,
) -> tuple[np.ndarray, float]:
    """Number the best pieces of the allowed ground that make up a wanted area together.

    Pieces that are too small do not count, so the threshold falls until the others fill the area:
    the pieces above a lower score are never smaller, and halving finds it.

    Parameters
    ----------
    score : ndarray
        (y, x), NaN = nodata.
    allowed : ndarray
        (y, x) bool.
    wanted, least : float
        Cells of all pieces, and of the smallest.

    Returns
    -------
    labels : ndarray
        (y, x) int32, 0 = none. Ground that touches at a corner alone is two pieces.
    threshold : float
        The score that all of it reaches.

    Examples
    --------
    The single cell of 9 is too small; the next best piece makes up the area.

    >>> score = np.ones((3, 9))
    >>> score[0, 0] = 9
    >>> score[:2, 4:6] = 5
    >>> labels, threshold = best_ground(score, score > 0, wanted=4, least=2)
    >>> print(labels, threshold)
    [[0 0 0 0 1 1 0 0 0]
     [0 0 0 0 1 1 0 0 0]
     [0 0 0 0 0 0 0 0 0]] 5.0
    """
    allowed = allowed & np.isfinite(score)
    if not allowed.any():
        raise DataError("no cell of the raster has a score: nothing can become a target.")
    levels = np.unique(score[allowed])
    # The highest level is always low enough: cells of one score cannot be told apart.
    low = 0
    high = len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        labels = pieces_of(allowed & (score >= levels[middle]), least)
        if np.count_nonzero(labels) <= wanted:
            high = middle
        else:
            low = middle + 1
    threshold = levels[low]
    ground = pieces_of(allowed & (score >= threshold), least) > 0
    # Holes of a few cells are filled: the map resolves nothing so small.
    holes, _ = ndimage.label(allowed & ~ground)
    small = np.bincount(holes.ravel()) < LEAST_CELLS
    small[0] = False
    filled = ground | small[holes]
    return pieces_of(filled, least), float(threshold)


def pieces_of(ground: np.ndarray, least: float) -> np.ndarray:
    """Number the connected pieces of at least so many cells, from 1 in the order of their first
    cell.
    """
    labels, _ = ndimage.label(ground)
    sizes = np.bincount(labels.ravel())
    kept = sizes >= least
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    numbers = numbers.astype(np.int32)
    return numbers[labels]


def split_giants(
    score: np.ndarray,
    labels: np.ndarray,
    rules: GroundRules,
) -> np.ndarray:
    """Split every piece of more than ``rules.most`` cells at the saddles between its summits.

    Parameters
    ----------
    score : ndarray
        (y, x).
    labels : ndarray
        (y, x) int32, from :func:`pieces_of`.
    rules : GroundRules
        Its window, the largest and the smallest part.

    Returns
    -------
    ndarray
        (y, x) int32 labels; the ground is the same. A part is larger than ``most`` where nothing
        parts its summits (at most :data:`SLACK` times), or where it took up one that was too small.
    """
    result = labels.copy()
    number = int(labels.max())
    for piece, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == piece
        if np.count_nonzero(inside) <= rules.most:
            continue
        parts = _parts(score[box], inside, rules)
        # The first part keeps the number of the piece, the others get new ones.
        numbers = np.where(parts == 1, piece, number + parts - 1)
        result[box][inside] = numbers[inside]
        number += int(parts.max()) - 1
    return result


def _parts(
    score: np.ndarray,
    inside: np.ndarray,
    rules: GroundRules,
) -> np.ndarray:
    """Number the parts of one piece, from 1; 0 outside it."""
    # 1. Height above the lowest ground, smoothed: necks of the outline become saddles too, and
    #    ground that scores alike everywhere gets summits.
    floor = float(score[inside].min())
    height = np.where(inside, score - floor, 0.0).astype(float)
    relief = np.ptp(height[inside])
    height = height + 0.1 * (relief or 1.0) * inside
    height = ndimage.gaussian_filter(height, rules.window / 4, mode="constant")
    # 2. Basins of the summits.
    piece = inside.astype(np.int32)
    peaks = peak_local_max(
        height,
        min_distance=rules.window,
        labels=piece,
        exclude_border=False,
    )
    markers = np.zeros(inside.shape, np.int32)
    peak_rows, peak_cols = peaks.T
    markers[peak_rows, peak_cols] = np.arange(1, len(peaks) + 1)
    basins = watershed(-height, markers, mask=inside)
    # 3. Join them over the highest saddles, as long as the parts stay small enough; what is still
    #    too large is one summit.
    parts = _joined(basins, height, rules.most, rules.least)
    return _cut_evenly(parts, height, rules)


def _cut_evenly(
    parts: np.ndarray,
    height: np.ndarray,
    rules: GroundRules,
) -> np.ndarray:
    """Cut the parts that are too large and have no saddle into ground of even size, by k-means of
    their cells.
    """
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    too_large = np.flatnonzero(sizes > SLACK * rules.most)
    if not len(too_large):
        return parts
    cut = parts.copy()
    for part in too_large:
        cells = np.argwhere(parts == part).astype(float)
        count = int(np.ceil(sizes[part] / rules.most))
        _, nearest = kmeans2(cells, count, minit="++", seed=0)
        cut[parts == part] = cut.max() + 1 + nearest
    # Ground around a hole may come apart: every connected piece counts by itself, and the small
    # ones join a neighbour.
    pieces = np.zeros_like(parts)
    for part in np.unique(cut[cut > 0]):
        own, _ = ndimage.label(cut == part)
        pieces[own > 0] = own[own > 0] + pieces.max()
    return _joined(pieces, height, 0, rules.least)


def _joined(
    basins: np.ndarray,
    height: np.ndarray,
    most: float,
    least: float,
) -> np.ndarray:
    """Join basins over their highest saddles; see :func:`split_giants`."""
    sizes = np.bincount(basins.ravel()).astype(float)
    every_basin = np.arange(len(sizes))
    summits = ndimage.maximum(height, basins, every_basin)
    saddles = _saddles(basins, height)
    joined = DisjointSet(range(1, len(sizes)))

    def join(one: int, other: int) -> None:
        first = joined[one]
        second = joined[other]
        joined.merge(first, second)
        root = joined[first]
        sizes[root] = sizes[first] + sizes[second]
        summits[root] = max(summits[first], summits[second])

    for saddle, one, other in saddles:
        first = joined[one]
        second = joined[other]
        if first == second:
            continue
        lower = min(summits[first], summits[second])
        limit = SLACK * most if lower - saddle <= HARDLY * lower else most
        if sizes[first] + sizes[second] <= limit:
            join(first, second)
    # What is still too small joins the neighbour that it is least parted from, however large.
    for _, one, other in saddles:
        first = joined[one]
        second = joined[other]
        smaller = min(sizes[first], sizes[second])
        if first != second and smaller < least:
            join(first, second)
    numbers = np.zeros(len(sizes), np.int32)
    for number, basin in enumerate(joined.subsets(), start=1):
        numbers[list(basin)] = number
    return numbers[basins]


def _saddles(
    basins: np.ndarray,
    height: np.ndarray,
) -> list[tuple[float, int, int]]:
    """Return (height, basin, basin) of the saddle between every two neighbours, highest first."""
    found: dict[tuple[int, int], float] = {}
    for axis in (0, 1):
        here = [slice(None), slice(None)]
        there = [slice(None), slice(None)]
        here[axis] = slice(None, -1)
        there[axis] = slice(1, None)
        one = basins[tuple(here)]
        other = basins[tuple(there)]
        border = (one != other) & (one > 0) & (other > 0)
        # Two cells side by side of different basins: the lower one is the pass between them.
        lower = np.minimum(height[tuple(here)], height[tuple(there)])
        passes = lower[border].tolist()
        pairs = np.stack([one[border], other[border]], axis=1)
        pairs = np.sort(pairs, axis=1).tolist()
        # The highest pass of two basins is their saddle.
        for (first, second), value in zip(pairs, passes, strict=True):
            highest = found.get((first, second), -np.inf)
            found[first, second] = max(value, highest)
    saddles = [(value, *pair) for pair, value in found.items()]
    return sorted(saddles, key=lambda saddle: (-saddle[0], saddle[1:]))


def outlines(
    labels: np.ndarray,
    grid: Grid,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the labels and their outlines, smooth enough to print.

    Neighbours keep their common edge, so that outlines never cross (Visvalingam and Whyatt's
    simplification of the whole coverage).

    Returns
    -------
    numbers : (targets,) ndarray
    polygons : (targets,) ndarray of polygon
        In the grid's CRS.
    """
    found: dict[int, list[shapely.Geometry]] = {}
    for shape, value in shapes(labels, mask=labels > 0):
        polygon = shapely.geometry.shape(shape)
        found.setdefault(int(value), []).append(polygon)
    numbers = np.array(sorted(found), int)
    joined = [shapely.union_all(found[number]) for number in numbers]
    cornered = np.array(joined, object)
    if not len(numbers):
        return numbers, cornered
    # One vertex a cell's corner: neighbours then share every vertex of their common edge.
    cornered = shapely.segmentize(cornered, 1.0)
    smooth = shapely.coverage_simplify(cornered, OUTLINE)
    # From columns and rows to metres: the affine transform as a matrix and an origin.
    affine = grid.transform
    scale = np.array([[affine.a, affine.d], [affine.b, affine.e]])
    origin = (affine.c, affine.f)
    return numbers, shapely.transform(smooth, lambda xy: xy @ scale + origin)


def cells_inside(
    polygons: Iterable[shapely.Geometry],
    grid: Grid,
) -> np.ndarray:
    """Return the number of the polygon (from 1) that holds each cell's centre, (y, x) int32."""
    numbered = []
    for number, polygon in enumerate(polygons, start=1):
        numbered.append((polygon, number))
    if not numbered:
        return np.zeros(grid.shape, np.int32)
    return rasterize(numbered, grid.shape, transform=grid.transform, dtype="int32")
