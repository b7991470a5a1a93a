"""Values of a band go in; the figures that GIS programs stretch colours by come out.

A band is looked at block by block, so that a raster in memory and one larger than memory get the
same figures to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .tiff_tiles import TILE

PIECE = 16_384
"""Cells squared at a time: memory that stays in the cache costs a third of fresh memory."""


def band_statistics(band: np.ndarray) -> dict[str, float]:
    """Return the statistics of one band (y, x), nothing when no cell is valid.

    >>> band_statistics(np.array([[1.0, 3.0], [np.nan, np.nan]]))["VALID_PERCENT"]
    50.0
    """
    height, width = band.shape
    parts = []
    for row in range(0, height, TILE):
        for column in range(0, width, TILE):
            parts.append(block_moments(band[row : row + TILE, column : column + TILE]))
    return merge_moments(parts, band.size)


def block_moments(block: np.ndarray) -> list[float]:
    """Return count, minimum, maximum, sum and centred sum of squares of the valid cells."""
    finite = np.isfinite(block)
    valid = block.ravel() if finite.all() else block[finite]
    if not len(valid):
        return [0, 0.0, 0.0, 0.0, 0.0]
    # Two passes, about the block's own mean: sums of squares of large values lose their digits.
    mean = float(valid.mean(dtype=np.float64))
    spread = 0.0
    for start in range(0, len(valid), PIECE):
        centred = valid[start : start + PIECE] - np.float64(mean)
        spread += float(np.square(centred, out=centred).sum())
    count = len(valid)
    low = float(valid.min())
    high = float(valid.max())
    return [count, low, high, mean * count, spread]


def merge_moments(
    parts: Sequence[Sequence[float]],
    cells: int,
) -> dict[str, float]:
    """Join the moments of blocks (Chan et al. 1983); nothing when no cell is valid.

    >>> parts = [block_moments(np.array([1.0, 2.0])), block_moments(np.array([3.0, np.nan]))]
    >>> merge_moments(parts, 4)["MEAN"]
    2.0
    """
    # Empty blocks have no moments.
    filled = [part for part in parts if part[0]]
    known = np.array(filled, float).reshape(-1, 5)
    count, low, high, total, spread = known.T
    if not len(count):
        return {}
    mean = total.sum() / count.sum()
    # Within the blocks, and between the means of the blocks.
    off = total / count - mean
    squares = spread.sum() + (count * off**2).sum()
    return {
        "MINIMUM": float(low.min()),
        "MAXIMUM": float(high.max()),
        "MEAN": float(mean),
        "STDDEV": float(np.sqrt(squares / count.sum())),
        "VALID_PERCENT": float(100 * count.sum() / cells),
    }


def statistics_tags(figures: Mapping[str, float]) -> dict[str, str]:
    """Return statistics as the tags under which GDAL looks for them."""
    return {f"STATISTICS_{key}": repr(float(figure)) for key, figure in figures.items()}
