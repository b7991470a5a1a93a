"""Compiled kernels of the far field: quadtree cells, Chebyshev nodes, tensor interpolation, leaves.

What they compute and how far it can be off is told in
:mod:`geomfaf.evidence.idw_engines.far_field`. They release the GIL and hold no state.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .distance_weights import FAST, INNER, powers_to_weights, squared_distances

DEPTH = 16
"""Finest level of the quadtree: 65,536 cells a side."""

TOP = 2
"""Level whose cell (1, 1) is the square of the grid; one ring of neighbours of that size is around
it.
"""

SUB = 16
"""Grid cells along a side of the tiles in which leaves are evaluated: sums stay in the
first cache.
"""


class Tree(NamedTuple):
    """Samples sorted along a Morton curve, then those outside the root square."""

    codes: np.ndarray
    """(samples inside) Morton codes at level DEPTH, ascending."""
    x: np.ndarray
    y: np.ndarray
    columns: np.ndarray
    """(samples, columns) shifted values, 0 where missing, then one 0/1 column per
    missing pattern.
    """
    west: float
    south: float
    size: float
    nodes: np.ndarray
    """(q) Chebyshev nodes of [-1, 1]."""
    power: float


class Target(NamedTuple):
    """Where to estimate, and how columns of sums become bands."""

    x: np.ndarray
    """(columns) easting of the cell centres, ascending."""
    down: np.ndarray
    """(rows) negated northing of the cell centres, ascending."""
    shift: np.ndarray
    """(bands) what was subtracted from the values."""
    pattern: np.ndarray
    """(bands) column that holds the weights of the band's samples."""


@njit(**INNER)
def _first_at_least(ascending, value):
    low = 0
    high = ascending.size
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(**INNER)
def _cell_samples(
    codes,
    level,
    column,
    row,
):
    """Return the first sample of a quadtree cell and the end of them: two binary searches."""
    # The cell's Morton code, then the range of codes below it at the finest level.
    code = 0
    for bit in range(level):
        code |= ((column >> bit) & 1) << (2 * bit)
        code |= ((row >> bit) & 1) << (2 * bit + 1)
    shift = 2 * (DEPTH - level)
    return _first_at_least(codes, code << shift), _first_at_least(codes, (code + 1) << shift)


@njit(**INNER, fastmath=FAST)
def _add_four(
    weights,
    columns,
    first,
    sums,
):
    """Add four samples' weighted columns to the sums (columns, points) in one sweep."""
    for c in range(sums.shape[0]):
        z0 = columns[first, c]
        z1 = columns[first + 1, c]
        z2 = columns[first + 2, c]
        z3 = columns[first + 3, c]
        for p in range(weights.shape[1]):
            sums[c, p] += (weights[0, p] * z0 + weights[1, p] * z1) + (
                weights[2, p] * z2 + weights[3, p] * z3
            )


@njit(**INNER)
def direct_sums(
    px,
    py,
    samples,
    begin,
    end,
    weights,
    sums,
):
    """Add the weighted columns of samples begin..end to the sums (columns, points) at points px,
    py.

    ``samples`` are those of the tree, taken out of it: a tuple of all its arrays takes longer to
    compile.
    """
    x, y, columns, power = samples
    last = x.size - 4
    for s in range(begin, end, 4):
        # The last four of the list when fewer are left: what is not meant gets no weight.
        first = min(s, last)
        for i in range(4):
            squared_distances(px, py, x[first + i], y[first + i], weights[i])
            powers_to_weights(weights[i], power)
            if first + i < s or first + i >= end:
                for p in range(px.size):
                    weights[i, p] = 0.0
        _add_four(weights, columns, first, sums)


@njit(**INNER)
def _basis(place, nodes, row):
    """Fill the values of the Lagrange polynomials of the nodes at one place of [-1, 1]."""
    q = nodes.size
    total = 0.0
    # The second barycentric formula: its weights have no products that overflow.
    for i in range(q):
        gap = place - nodes[i]
        # At a node its own polynomial is 1 and the others are 0.
        if abs(gap) < 1e-14:
            for j in range(q):
                row[j] = 1.0 if j == i else 0.0
            return
        weight = math.sin(math.pi * (2 * i + 1) / (2 * q)) / gap
        row[i] = -weight if i % 2 else weight
        total += row[i]
    for i in range(q):
        row[i] /= total


@njit(**INNER, fastmath=FAST)
def _add_interpolated(  # noqa: C901  (compiled: a call would cost more than it tells)
    field,
    x,
    y,
    centre,
    half,
    nodes,
    sums,
):
    """Add a square's field (columns, q * q) at the points of the axes y and x to the sums."""
    # 1. The polynomials of either axis.
    q = nodes.size
    row = np.empty(q)
    across = np.empty((q, x.size))
    down = np.empty((y.size, q))
    for i in range(x.size):
        _basis((x[i] - centre[0]) / half, nodes, row)
        for m in range(q):
            across[m, i] = row[m]
    for j in range(y.size):
        _basis((y[j] - centre[1]) / half, nodes, down[j])
    # 2. Columns first, then rows: q + q products a point in place of q * q.
    line = np.empty((q, x.size))
    for c in range(sums.shape[0]):
        for m in range(q):
            for i in range(x.size):
                line[m, i] = 0.0
            for n in range(q):
                for i in range(x.size):
                    line[m, i] += field[c, m * q + n] * across[n, i]
        for j in range(y.size):
            for m in range(q):
                for i in range(x.size):
                    sums[c, j * x.size + i] += down[j, m] * line[m, i]


@njit(**INNER)
def _frame(
    tree,
    level,
    column,
    row,
):
    """Return the centre and half the side of a quadtree cell."""
    side = tree.size / (1 << level)
    return (tree.west + (column + 0.5) * side, tree.south + (row + 0.5) * side), 0.5 * side


@njit(**INNER)
def _clear(table):
    for c in range(table.shape[0]):
        for p in range(table.shape[1]):
            table[c, p] = 0.0


@njit(**INNER)
def _points(
    x,
    y,
    px,
    py,
):
    """Fill the coordinates of the points of two axes, row by row."""
    for j in range(y.size):
        for i in range(x.size):
            px[j * x.size + i] = x[i]
            py[j * x.size + i] = y[j]


@njit(**INNER)
def cell_field(
    tree,
    level,
    column,
    row,
    parent,
    field,
):
    """Fill the node field of a quadtree cell: its parent's, and the samples that just
    became far.
    """
    # 1. The nodes of the cell.
    nodes = tree.nodes
    centre, half = _frame(tree, level, column, row)
    x = np.empty(nodes.size)
    y = np.empty(nodes.size)
    for i in range(nodes.size):
        x[i] = centre[0] + half * nodes[i]
        y[i] = centre[1] + half * nodes[i]
    px = np.empty(x.size * y.size)
    py = np.empty(x.size * y.size)
    _points(x, y, px, py)
    # 2. What was far from the parent is far from the cell: its field is interpolated.
    weights = np.empty((4, px.size))
    _clear(field)
    if level > TOP:
        above, half_above = _frame(tree, level - 1, column >> 1, row >> 1)
        _add_interpolated(
            parent,
            x,
            y,
            above,
            half_above,
            nodes,
            field,
        )
    # 3. What was near to the parent and is far from the cell is summed at the nodes.
    samples = (tree.x, tree.y, tree.columns, tree.power)
    side = 1 << level
    for i in range(37):
        # The 36 children of the parent and its neighbours, then the samples outside the root
        # square.
        c = 2 * (column >> 1) - 2 + i % 6
        r = 2 * (row >> 1) - 2 + i // 6
        begin = 0
        end = 0
        if i == 36 and level == TOP:
            begin = tree.codes.size
            end = tree.x.size
        elif (
            i < 36
            and min(c, r) >= 0
            and max(c, r) < side
            and (abs(r - row) > 1 or abs(c - column) > 1)
        ):
            begin, end = _cell_samples(tree.codes, level, c, r)
        if end > begin:
            direct_sums(
                px,
                py,
                samples,
                begin,
                end,
                weights,
                field,
            )


@njit(**INNER)
def _near_samples(
    tree,
    level,
    column,
    row,
    spans,
):
    """Fill the sample ranges of a cell and its eight neighbours; return how many samples
    they hold.
    """
    total = 0
    for i in range(9):
        c = column + i % 3 - 1
        r = row + i // 3 - 1
        spans[i, 0], spans[i, 1] = _cell_samples(tree.codes, level, c, r)
        total += spans[i, 1] - spans[i, 0]
    return total


@njit(**INNER)
def _store(
    sums,
    target,
    corner,
    columns,
    out,
):
    """Write the estimates of a tile of grid cells whose first cell is ``corner`` of ``out``."""
    for b in range(out.shape[0]):
        weights = sums[target.pattern[b]]
        for p in range(weights.size):
            value = sums[b, p] / weights[p] + target.shift[b] if weights[p] > 0.0 else np.nan
            out[b, corner[0] + p // columns, corner[1] + p % columns] = value


@njit(**INNER)
def _leaf(
    tree,
    target,
    frame,
    field,
    spans,
    box,
    corner,
    out,
):
    """Estimate the grid cells of a box (first row, end row, first column, end column), tile by
    tile.
    """
    count = tree.columns.shape[1]
    samples = (tree.x, tree.y, tree.columns, tree.power)
    px = np.empty(SUB * SUB)
    py = np.empty(SUB * SUB)
    y = np.empty(SUB)
    weights = np.empty(4 * SUB * SUB)
    sums = np.empty(count * SUB * SUB)
    for r in range(box[0], box[1], SUB):
        rows = min(SUB, box[1] - r)
        for j in range(rows):
            y[j] = -target.down[r + j]
        for c in range(box[2], box[3], SUB):
            # Far samples by interpolation, near ones one by one.
            x = target.x[c : min(c + SUB, box[3])]
            cells = rows * x.size
            _points(x, y[:rows], px, py)
            part = sums[: count * cells].reshape((count, cells))
            _clear(part)
            _add_interpolated(
                field,
                x,
                y[:rows],
                frame[0],
                frame[1],
                tree.nodes,
                part,
            )
            four = weights[: 4 * cells].reshape((4, cells))
            for i in range(9):
                direct_sums(
                    px[:cells],
                    py[:cells],
                    samples,
                    spans[i, 0],
                    spans[i, 1],
                    four,
                    part,
                )
            _store(part, target, (r - corner[0], c - corner[1]), x.size, out)


@njit(**INNER)
def _box(
    tree,
    target,
    cell,
    window,
):
    """Return the grid cells whose centres lie in a quadtree cell, within the window."""
    level, column, row = cell
    side = tree.size / (1 << level)
    # The same expression gives the shared edge of two cells: no centre falls between them or into
    # both.
    west = tree.west + column * side
    east = tree.west + (column + 1) * side
    south = tree.south + row * side
    north = tree.south + (row + 1) * side
    r0 = _first_at_least(target.down, -north)
    r1 = _first_at_least(target.down, -south)
    c0 = _first_at_least(target.x, west)
    c1 = _first_at_least(target.x, east)
    return max(r0, window[0]), min(r1, window[1]), max(c0, window[2]), min(c1, window[3])


@njit(nogil=True, cache=True, error_model="numpy")
def far_cell(tree, target, start, fields, corner, out):
    """Estimate the part of a window that lies in the quadtree cell ``start`` (level, column, row),
    depth first.

    ``fields`` (levels, columns, q * q) holds the field of the start cell's parent, its own and room
    for those below it; ``out`` is float32 (bands, rows, columns) and begins at the grid cell
    ``corner``. With nothing in ``out`` the start cell's own field is computed, and that is all: one
    entry for both tasks compiles in half the time.

    A cell is split when the near samples its grid cells are spared outweigh the fields of its four
    children: three quarters of them, against new interactions with about three times as many nodes
    and two tensor interpolations.
    """
    if out.size == 0:
        cell_field(tree, start[0], start[1], start[2], fields[0], fields[1])
        return
    # 1. the cells still to be looked at, on a stack: four children a level at most
    window = (corner[0], corner[0] + out.shape[1], corner[1], corner[1] + out.shape[2])
    q = tree.nodes.size
    spans = np.empty((9, 2), np.int64)
    stack = np.empty((4 * DEPTH, 3), np.int64)
    height = 1
    stack[0, 0] = start[0]
    stack[0, 1] = start[1]
    stack[0, 2] = start[2]
    while height > 0:
        height -= 1
        level = stack[height, 0]
        column = stack[height, 1]
        row = stack[height, 2]
        box = _box(tree, target, (level, column, row), window)
        cells = max(box[1] - box[0], 0) * max(box[3] - box[2], 0)
        if cells == 0:
            continue
        # The field of the start cell is there already.
        if level > start[0]:
            below = level - start[0] + 1
            cell_field(tree, level, column, row, fields[below - 1], fields[below])
        # 2. split it, or estimate its grid cells: whichever costs less
        near = _near_samples(tree, level, column, row, spans)
        spared = 0.75 * cells * near
        cost = 3.0 * q * q * near + 8.0 * q * q * q
        if level < DEPTH and spared > cost:
            for child in range(4):
                stack[height, 0] = level + 1
                stack[height, 1] = 2 * column + (child & 1)
                stack[height, 2] = 2 * row + (child >> 1)
                height += 1
        else:
            _leaf(
                tree,
                target,
                _frame(tree, level, column, row),
                fields[level - start[0] + 1],
                spans,
                box,
                corner,
                out,
            )
