"""Scores go in; numbered ground comes out: the best of it, giants split at saddles, as outlines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

TILE = 16
"""Cells along a side of the tiles that lie near to or far from all deposits as a whole."""

TILES_AT_ONCE = 4096
"""Tiles whose cells' distances are looked for at once."""

ROWS = 512
"""Rows of a whole map that are worked on at once: all of it in larger numbers would not fit."""

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


class DepositDistances:
    """Metres from the centres of a grid's cells to the nearest deposit, infinite without one.

    Those of all cells at once would take twice the memory of the scores, and are hardly ever needed:
    of a tile of cells that lies near to or far from every deposit as a whole, one distance says it.

    Parameters
    ----------
    deposits : GeoDataFrame
        Points, in the grid's CRS.
    grid : Grid
    """

    def __init__(self, deposits: gpd.GeoDataFrame, grid: Grid) -> None:
        self.grid = grid
        self.tree = None
        if len(deposits):
            self.tree = cKDTree(shapely.get_coordinates(deposits.geometry.to_numpy()))
        # The least and the largest distance that a cell of each tile may have, (tiles down, across).
        rows = np.arange(0, grid.height, TILE)
        cols = np.arange(0, grid.width, TILE)
        middle = self._metres(rows[:, None] + TILE // 2, cols[None, :] + TILE // 2)
        half = np.hypot(*grid.sides) * (TILE / 2 + 1)
        self.least = middle - half
        self.most = middle + half

    def beyond(self, metres: float) -> np.ndarray:
        """Return which cells lie at least so far from every deposit, (y, x) bool."""
        height, width = self.grid.shape
        tiles = self.least >= metres
        cells = tiles.repeat(TILE, axis=0)[:height].repeat(TILE, axis=1)[:, :width]
        for rows, cols in self._tiles((self.least < metres) & (self.most >= metres)):
            cells[rows, cols] = self._metres(rows, cols) >= metres
        return cells

    def halfway(self, valid: np.ndarray, most: float) -> float:
        """Return how far the median of the valid cells is from the nearest deposit, or ``most``
        where it is farther.
        """
        middles = [(int(valid.sum()) + step) // 2 for step in (-1, 0)]
        nearer = np.count_nonzero(valid & ~self.beyond(most))
        if nearer <= middles[0]:
            return most
        # 1. How near half of the cells are at least, and at most: by what is known of their tiles.
        counts = np.add.reduceat(valid, np.arange(0, valid.shape[0], TILE), axis=0, dtype=np.int64)
        counts = np.add.reduceat(counts, np.arange(0, valid.shape[1], TILE), axis=1)
        low = _weighted(self.least, counts, middles[0])
        high = _weighted(self.most, counts, middles[1])
        # 2. The exact distances of the cells between.
        before = int(counts[self.most < low].sum())
        between = []
        for rows, cols in self._tiles((self.most >= low) & (self.least <= high)):
            between.append(self._metres(rows, cols)[valid[rows, cols]])
        distances = np.concatenate(between)
        places = [middle - before for middle in middles]
        distances.partition(places)
        return min(float(np.mean(distances[places])), most)

    def _tiles(self, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and columns of all cells of the chosen tiles, some tiles at a time."""
        down, across = np.nonzero(chosen)
        inside = np.arange(TILE)
        for first in range(0, len(down), TILES_AT_ONCE):
            some = slice(first, first + TILES_AT_ONCE)
            rows = TILE * down[some, None, None] + inside[:, None]
            cols = TILE * across[some, None, None] + inside
            rows, cols = np.broadcast_arrays(rows, cols)
            # The last tiles overhang the grid.
            there = (rows < self.grid.height) & (cols < self.grid.width)
            yield rows[there], cols[there]

    def _metres(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the distances of some cells."""
        x, y = self.grid.xy(rows, cols)
        if self.tree is None:
            return np.full(np.broadcast(x, y).shape, np.inf)
        return self.tree.query(np.stack(np.broadcast_arrays(x, y), axis=-1), workers=-1)[0]


def _weighted(values: np.ndarray, counts: np.ndarray, place: int) -> float:
    """Return the value at a place among values of which each is there so many times."""
    order = np.argsort(values, axis=None)
    total = counts.ravel()[order].cumsum()
    return float(values.ravel()[order][np.searchsorted(total, place, "right")])


def sized_rules(
    score: np.ndarray,
    away: DepositDistances,
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
    away : DepositDistances
        From the known deposits.
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
    reach = away.halfway(valid, reach) if known_distance is None else float(known_distance)
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
    away: DepositDistances,
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
    new = away.beyond(rules.known_distance + margin)
    labels, threshold = best_ground(score, new, rules.wanted, rules.least)
    split_giants(score, labels, rules, out=labels)
    count = int(labels.max())
    # What is numbered is kept by its cells: a large map has no room for two of them in numbers.
    cells = np.flatnonzero(labels)
    numbers = labels.ravel()[cells]
    near = np.logical_not(new, out=new)
    if (near & np.isfinite(score)).any():
        del labels
        labels, level = best_ground(score, near, rules.wanted, rules.least)
        if level < threshold:
            del labels
            labels = pieces_of(near & (score >= threshold), rules.least)
        split_giants(score, labels, rules, out=labels)
        # The ground around deposits is numbered after the exploration targets.
        np.add(labels, count, out=labels, where=labels > 0)
        labels.ravel()[cells] = numbers
    return labels, np.arange(1, count + 1), threshold


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
    threshold = _lowest_score(score, allowed, wanted, least)
    ground = pieces_of(allowed & (score >= threshold), least) > 0
    # Holes of a few cells are filled: the map resolves nothing so small.
    allowed &= ~ground
    ground |= _specks(allowed)
    return pieces_of(ground, least), threshold


def _lowest_score(score: np.ndarray, allowed: np.ndarray, wanted: float, least: float) -> float:
    """Return the lowest score above which the large pieces fill the wanted area at most; the
    highest where none does.

    Halving goes over all numbers there are, in their order: as many steps as a number has bits,
    however many cells the map has, and none of its scores are sorted.
    """
    kind = score.dtype.type
    # The highest score is always low enough: cells of one score cannot be told apart.
    low = _place(kind(np.min(score, where=allowed, initial=np.inf)))
    high = _place(kind(np.max(score, where=allowed, initial=-np.inf)))
    while low < high:
        middle = (low + high) // 2
        ground = allowed & (score >= _number(middle, kind))
        # Where all pieces fit, the large ones do.
        if np.count_nonzero(ground) <= wanted or _large_cells(ground, least) <= wanted:
            high = middle
        else:
            low = middle + 1
    # From the number to the next score that there is.
    reached = allowed & (score >= _number(low, kind))
    return float(np.min(score, where=reached, initial=np.inf))


def _place(number: np.floating) -> int:
    """Return the place of a floating point number in the order of all of its type.

    >>> _place(np.float32(0)), _place(np.nextafter(np.float32(0), np.float32(1)))
    (0, 1)
    >>> _place(np.float64(-2)) < _place(np.float64(-1)) < _place(np.float64(1))
    True
    """
    bits = int(number.view(f"i{number.itemsize}"))
    # The sign is the first bit, and what follows grows away from zero.
    return bits if bits >= 0 else -(bits + (1 << (8 * number.itemsize - 1)))


def _number(place: int, kind: type[np.floating]) -> np.floating:
    """Return the floating point number at a place, see :func:`_place`.

    >>> [float(_number(_place(np.float32(x)), np.float32)) for x in (-1.5, 0, 0.25)]
    [-1.5, 0.0, 0.25]
    """
    magnitude = np.array(abs(place), f"i{kind(0).itemsize}").view(kind)
    return kind(magnitude if place >= 0 else -magnitude)


def _numbered(ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the connected pieces numbered from 1, (y, x) int32, and the cells of each; none counts
    for number 0.
    """
    labels, count = ndimage.label(ground)
    sizes = np.zeros(count + 1, np.int64)
    for first in range(0, len(labels), ROWS):
        sizes += np.bincount(labels[first : first + ROWS].ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels, sizes


def _large_cells(ground: np.ndarray, least: float) -> int:
    """Return how many cells the connected pieces of at least so many cells have together."""
    _, sizes = _numbered(ground)
    return int(sizes[sizes >= least].sum())


def _specks(cells: np.ndarray) -> np.ndarray:
    """Return the connected pieces of fewer than :data:`LEAST_CELLS` cells, (y, x) bool.

    One of them is found some rows at a time: with so many rows more on either side, a piece that
    goes on beyond them is no speck.
    """
    found = np.zeros_like(cells)
    for first in range(0, len(cells), ROWS):
        top = max(first - LEAST_CELLS, 0)
        labels, sizes = _numbered(cells[top : first + ROWS + LEAST_CELLS])
        small = (sizes > 0) & (sizes < LEAST_CELLS)
        inside = labels[first - top :][:ROWS]
        found[first : first + ROWS] = small[inside]
    return found


def pieces_of(ground: np.ndarray, least: float) -> np.ndarray:
    """Number the connected pieces of at least so many cells, from 1 in the order of their first
    cell.
    """
    labels, sizes = _numbered(ground)
    kept = (sizes > 0) & (sizes >= least)
    numbers = np.where(kept, np.cumsum(kept), 0)
    numbers = numbers.astype(np.int32)
    for first in range(0, len(labels), ROWS):
        rows = labels[first : first + ROWS]
        rows[:] = numbers[rows]
    return labels


def split_giants(
    score: np.ndarray,
    labels: np.ndarray,
    rules: GroundRules,
    *,
    out: np.ndarray | None = None,
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
    out : ndarray, optional
        Takes the result, and may be the labels themselves.

    Returns
    -------
    ndarray
        (y, x) int32 labels; the ground is the same. A part is larger than ``most`` where nothing
        parts its summits (at most :data:`SLACK` times), or where it took up one that was too small.
    """
    result = labels.copy() if out is None else out
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
