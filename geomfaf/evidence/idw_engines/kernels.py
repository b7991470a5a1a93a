"""Compiled k-nearest inverse-distance weighting: neighbours found once for all bands.

Samples are sorted into uniform buckets. Cells are worked through in square tiles: the k-th distance
is 1-Lipschitz (it changes by at most the step one takes), so one gathering of candidates serves a
whole tile. Per cell only the squared distance of the k-th neighbour is searched, without branches;
a second pass weights every candidate at or below it, which is the tie rule of
:mod:`geomfaf.evidence.inverse_distance`.

The kernels release the GIL and hold no state: threads and Dask workers run the same function.
Coordinates and sums are float64, results float32; one signature each, cached on disk.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .distance_weights import AT_SAMPLE, FAST, INNER, TOUCH2, powers_to_weights, squared_distances
from .tree_engine import FAR, TIE, Rule


class Buckets(NamedTuple):
    """Samples sorted by the bucket they lie in, row by row from the south-west."""

    start: np.ndarray
    """(buckets + 1) first sample of each bucket."""
    order: np.ndarray
    """(samples) original index of the sorted samples."""
    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    """(samples, bands), contiguous per sample."""
    west: float
    south: float
    size: float
    columns: int
    rows: int


class CellSteps(NamedTuple):
    """Centre of cell (0, 0) and the steps to the next column and the next row."""

    x: float
    y: float
    column_x: float
    column_y: float
    row_x: float
    row_y: float


def make_buckets(xy: np.ndarray, values: np.ndarray, *, per_bucket: float = 4.0) -> Buckets:
    """Sort samples into buckets of ``per_bucket`` samples on average.

    The buckets span the inner 98 % of the samples; what lies outside belongs to the outermost
    buckets, which reach to infinity, so that one stray sample does not coarsen all of them.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) metres.
    values : ndarray
        (bands, samples) without NaN.
    """
    # 1. Square buckets over the inner 98 % of the samples.
    count = len(xy)
    low, high = np.quantile(xy, [0.01, 0.99], axis=0)
    width, height = np.maximum(high - low, 1e-3)
    size = max(
        math.sqrt(width * height * per_bucket / count),
        max(width, height) * per_bucket / count,
        1e-3,
    )
    columns = int(width / size) + 1
    rows = int(height / size) + 1
    # 2. The bucket of each sample; the outermost ones take what lies outside.
    place = np.floor((xy - low) / size)
    column = np.clip(place[:, 0], 0, columns - 1).astype(np.int64)
    row = np.clip(place[:, 1], 0, rows - 1).astype(np.int64)
    bucket = row * columns + column
    # 3. Samples sorted by their bucket.
    order = np.argsort(bucket, kind="stable")
    return Buckets(
        start=np.searchsorted(bucket[order], np.arange(columns * rows + 1)),
        order=order,
        x=np.ascontiguousarray(xy[order, 0], dtype=np.float64),
        y=np.ascontiguousarray(xy[order, 1], dtype=np.float64),
        values=np.ascontiguousarray(values[:, order].T, dtype=np.float64),
        west=float(low[0]),
        south=float(low[1]),
        size=float(size),
        columns=columns,
        rows=rows,
    )


def tile_size(buckets: Buckets, rule: Rule, steps: CellSteps) -> int:
    """Return cells per tile side: smaller where samples are dense against the cells (measured: 16
    never wins).
    """
    # How many cells away the k-th sample is on average.
    area = (buckets.size**2) * buckets.columns * buckets.rows / len(buckets.x)
    cell_width = math.hypot(steps.column_x, steps.column_y)
    cell_height = math.hypot(steps.row_x, steps.row_y)
    cell = max(cell_width, cell_height)
    reach = math.sqrt(max(rule.neighbours, 4) * area / math.pi) / cell
    return 8 if reach >= 6 else 4


@njit(**INNER, fastmath=FAST)
def _insert(best, d2, filled):
    """Push one candidate's squared distances through the sorted lists of all cells."""
    # The smaller of the two stays, the larger goes on down the list: no branch, so it vectorises.
    for j in range(filled):
        for p in range(d2.size):
            a = best[j, p]
            b = d2[p]
            best[j, p] = a if a < b else b
            d2[p] = b if a < b else a


@njit(**INNER, fastmath=FAST)
def _largest(row):
    result = row[0]
    for p in range(row.size):
        result = row[p] if row[p] > result else result
    return result


@njit(**INNER, fastmath=FAST)
def _largest_gain(row, d2):
    """Return how far the best improvement of a list's last entry goes; none when not positive."""
    result = row[0] - d2[0]
    for p in range(row.size):
        gain = row[p] - d2[p]
        result = gain if gain > result else result
    return result


@njit(**INNER)
def _search(px, py, near, half, k, best, d2):
    """Find the k smallest squared distances of each cell; return how many candidates can count.

    Candidates come sorted by their distance to the tile's centre; ``half`` is the distance from
    there to the tile's outermost cell centre, so none after ``distance - half > worst`` can count.
    """
    distance, x, y = near
    for j in range(k):
        for p in range(px.size):
            best[j, p] = FAR
    worst = FAR
    for c in range(x.size):
        # No cell of the tile has a k-th neighbour as far away as this candidate: done.
        gap = distance[c] - half
        if c >= k and gap > 0.0 and gap * gap > worst:
            return c
        squared_distances(px, py, x[c], y[c], d2)
        if c < k:
            _insert(best, d2, c + 1)
        elif _largest_gain(best[k - 1], d2) > 0.0:
            _insert(best, d2, k)
        if c >= k - 1 and c % 4 == 3:
            # The slack keeps samples that tie with the k-th.
            worst = _largest(best[k - 1]) * (1.0 + 1e-8)
    return x.size


@njit(**INNER, fastmath=FAST)
def _mask_weights(d2, limit, nearest, power):
    """Turn squared distances into weights in place, 0 beyond the limit; return the largest."""
    largest = 0.0
    # The usual power takes one pass.
    if power == 2.0:
        for p in range(d2.size):
            weight = 1.0 / d2[p] if d2[p] > TOUCH2 else AT_SAMPLE
            weight = weight if d2[p] <= limit[p] else 0.0
            d2[p] = weight
            largest = weight if weight > largest else largest
    elif power <= 4.0 and 2.0 * power == math.floor(2.0 * power):
        # Other powers that roots can give: only where any cell is near enough.
        for p in range(d2.size):
            largest = 1.0 if d2[p] <= limit[p] else largest
        if largest > 0.0:
            for p in range(d2.size):
                d2[p] = d2[p] if d2[p] <= limit[p] else FAR
            powers_to_weights(d2, power)
    else:
        for p in range(d2.size):
            # Scaled to 1 at the nearest sample, so that no power overflows.
            inside = d2[p] <= limit[p]
            largest = 1.0 if inside else largest
            touching = d2[p] <= TOUCH2
            d2[p] = (
                (AT_SAMPLE if touching else (nearest[p] / d2[p]) ** (0.5 * power))
                if inside
                else 0.0
            )
    return largest


@njit(**INNER, fastmath=FAST)
def _add(weights, row, total, sums):
    """Add one sample's weighted values (bands) to the sums (bands, cells)."""
    for p in range(weights.size):
        total[p] += weights[p]
    for b in range(row.size):
        value = row[b]
        for p in range(weights.size):
            sums[b, p] += weights[p] * value


@njit(**INNER, fastmath=FAST)
def _count(d2, limit, used):
    for p in range(d2.size):
        used[p] += 1.0 if d2[p] <= limit[p] else 0.0


@njit(**INNER)
def _bucket_span(buckets, x, y, reach, row):
    """Return the first sample and the end of the samples of a bucket row that a circle
    may touch.
    """
    # How far the row is; the outermost rows reach to infinity.
    low = buckets.south + row * buckets.size
    away = 0.0
    if y < low and row > 0:
        away = low - y
    elif y > low + buckets.size and row < buckets.rows - 1:
        away = y - low - buckets.size
    if away > reach:
        return 0, 0
    half = math.sqrt(reach * reach - away * away)
    # Clamped as floats: a coordinate far away may not fit an integer.
    last = buckets.columns - 1.0
    left = min(max((x - half - buckets.west) / buckets.size - 1e-6, 0.0), last)
    right = min(max((x + half - buckets.west) / buckets.size + 1e-6, 0.0), last)
    base = row * buckets.columns
    return buckets.start[base + int(left)], buckets.start[base + int(right) + 1]


@njit(**INNER)
def _gather(buckets, x, y, reach, found, ids, d2):
    """Collect the samples within ``reach`` of a point; return their number.

    A number above ``ids.size`` says that the lists are too short; nothing is lost, ask again.
    """
    last = buckets.rows - 1.0
    low = int(min(max((y - reach - buckets.south) / buckets.size - 1e-6, 0.0), last))
    high = int(min(max((y + reach - buckets.south) / buckets.size + 1e-6, 0.0), last))
    limit = reach * reach
    for row in range(low, high + 1):
        begin, end = _bucket_span(buckets, x, y, reach, row)
        for s in range(begin, end):
            dx = buckets.x[s] - x
            dy = buckets.y[s] - y
            distance = dx * dx + dy * dy
            if distance <= limit:
                if found < ids.size:
                    ids[found] = s
                    d2[found] = distance
                found += 1
    return found


@njit(**INNER)
def _sort(d2, ids, count):
    """Sort candidates by distance, then number: Shell's method with Ciura's gaps, good for short
    lists.

    The order is total, so that sums do not depend on how many candidates were gathered around them.
    """
    # Ciura's gaps, each about 2.25 times the one below.
    for gap in (8929, 3926, 1750, 701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            distance = d2[i]
            sample = ids[i]
            j = i
            while j >= gap and (
                d2[j - gap] > distance or (d2[j - gap] == distance and ids[j - gap] > sample)
            ):
                d2[j] = d2[j - gap]
                ids[j] = ids[j - gap]
                j -= gap
            d2[j] = distance
            ids[j] = sample


@njit(**INNER)
def _candidates(buckets, rule, x, y, reach, half, lists):
    """Gather, sort and cut the candidates of a tile centred at (x, y).

    ``reach`` is a first guess; when the k-th sample lies beyond it, it grows. Returns the lists
    (longer ones when they were too short), the number of candidates and the centre's k-th distance.
    """
    ids, d2 = lists
    k = rule.neighbours
    widest = rule.radius + half
    reach = widest if k == 0 else min(reach, widest)
    while True:
        found = _gather(buckets, x, y, reach * (1.0 + 1e-8), 0, ids, d2)
        # The lists were too short: ask again with longer ones.
        if found > ids.size:
            ids = np.empty(2 * found, np.int64)
            d2 = np.empty(2 * found, np.float64)
        elif found >= k or reach >= widest:
            if k == 0:
                return ids, d2, found, FAR
            _sort(d2, ids, found)
            kth = math.sqrt(d2[k - 1]) if found >= k else FAR
            # A neighbour of a cell is within kth + half of it, hence within kth + 2 half of the
            # centre.
            needed = min(kth + 2.0 * half, widest)
            if reach >= needed:
                limit = (needed * (1.0 + 1e-8)) ** 2
                while found > 0 and d2[found - 1] > limit:
                    found -= 1
                return ids, d2, found, kth
            reach = needed
        else:
            reach *= 2.0


@njit(**INNER)
def _estimate_tile(px, py, near, ids, half, buckets, rule, work):
    """Estimate all cells of a tile: fills ``work`` with nearest distances, counts, weights and
    sums.
    """
    # 1. The k nearest of every cell.
    best, d2, limit, used, total, sums = work
    _, x, y = near
    k = max(rule.neighbours, 1)
    last = _search(px, py, near, half, k, best, d2)
    # 2. How far samples count: the k-th distance with its ties, at most the radius.
    radius2 = (rule.radius * (1.0 + TIE)) ** 2
    for p in range(px.size):
        kth = best[k - 1, p] * (1.0 + TIE) ** 2 if rule.neighbours > 0 else FAR
        limit[p] = min(kth, radius2)
        used[p] = 0.0
        total[p] = 0.0
        for b in range(sums.shape[0]):
            sums[b, p] = 0.0
    # 3. One sweep that weights what counts.
    last = last if rule.neighbours > 0 else x.size
    for c in range(last):
        squared_distances(px, py, x[c], y[c], d2)
        if rule.minimum > 0:
            _count(d2, limit, used)
        if _mask_weights(d2, limit, best[0], rule.power) > 0.0:
            _add(d2, buckets.values[ids[c]], total, sums)


@njit(**INNER)
def _store(work, rule, side, corner, out, extra):
    """Write a tile's estimates, and the nearest distance and the count when they are wanted."""
    best, _, limit, used, total, sums = work
    row0, column0 = corner
    rows = min(side, out.shape[1] - row0)
    columns = min(side, out.shape[2] - column0)
    farthest2 = (rule.farthest * (1.0 + TIE)) ** 2
    for j in range(rows):
        for i in range(columns):
            p = j * side + i
            found = best[0, p] <= limit[p] and used[p] >= rule.minimum and best[0, p] <= farthest2
            for b in range(out.shape[0]):
                out[b, row0 + j, column0 + i] = sums[b, p] / total[p] if found else np.nan
            if extra.shape[0] == 2:
                extra[0, row0 + j, column0 + i] = (
                    math.sqrt(best[0, p]) if best[0, p] <= limit[p] else np.nan
                )
                extra[1, row0 + j, column0 + i] = used[p]


@njit(nogil=True, cache=True, error_model="numpy")
def knn_block(steps, window, buckets, rule, side, out, extra):
    """Estimate the cells of a window of the grid.

    Parameters
    ----------
    steps : CellSteps
    window : tuple of int
        First row and first column; rows and columns are those of ``out``.
    buckets : Buckets
    rule : Rule
        With ``neighbours`` at most the number of samples, and ``minimum`` at least 1 when counts
        are wanted.
    side : int
        Cells per tile side.
    out : ndarray
        float32 (bands, rows, columns), filled here.
    extra : ndarray
        float32 (2, rows, columns) for nearest distance and count, or (0, 0, 0).
    """
    # 1. A tile's cells around its centre, and the distance to the outermost of them.
    cells = side * side
    px = np.empty(cells)
    py = np.empty(cells)
    middle = 0.5 * (side - 1)
    for p in range(cells):
        row = p // side - middle
        column = p % side - middle
        px[p] = column * steps.column_x + row * steps.row_x
        py[p] = column * steps.column_y + row * steps.row_y
    half = math.sqrt(max(px[0] ** 2 + py[0] ** 2, px[side - 1] ** 2 + py[side - 1] ** 2)) * (
        1.0 + 1e-9
    )
    # 2. Room for one tile at a time; lists grow when there are more candidates.
    step = side * math.hypot(steps.column_x, steps.column_y)
    k = max(rule.neighbours, 1)
    bands = out.shape[0]
    work = (
        np.empty((k, cells)),
        np.empty(cells),
        np.empty(cells),
        np.empty(cells),
        np.empty(cells),
        np.empty((bands, cells)),
    )
    lists = (np.empty(1024, np.int64), np.empty(1024, np.float64))
    distance = np.empty(1024)
    cx = np.empty(1024)
    cy = np.empty(1024)
    # 3. Tile by tile; the k-th distance of one tile is a good guess for the next.
    for row in range(0, out.shape[1], side):
        reach = 2.0 * buckets.size + 2.0 * half
        for column in range(0, out.shape[2], side):
            c = window[1] + column + middle
            r = window[0] + row + middle
            x = steps.x + c * steps.column_x + r * steps.row_x
            y = steps.y + c * steps.column_y + r * steps.row_y
            ids, d2, found, kth = _candidates(buckets, rule, x, y, reach, half, lists)
            lists = (ids, d2)
            if found > distance.size:
                distance = np.empty(2 * found)
                cx = np.empty(2 * found)
                cy = np.empty(2 * found)
            for s in range(found):
                distance[s] = math.sqrt(d2[s])
                cx[s] = buckets.x[ids[s]] - x
                cy[s] = buckets.y[ids[s]] - y
            near = (distance[:found], cx[:found], cy[:found])
            _estimate_tile(px, py, near, ids, half, buckets, rule, work)
            _store(work, rule, side, (row, column), out, extra)
            if kth < FAR:
                reach = kth + step + 2.0 * half
