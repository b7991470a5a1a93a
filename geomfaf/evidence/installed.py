"""The name of a band that another package brings goes in; a layer of the stack comes out."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from ..errors import DataError
from ..plugins import BANDS, load_installed, origin
from ..rasters.bands import Band
from ..rasters.grid import Grid
from ..survey.survey import Survey
from .layers import SCREENED


class InstalledLayer:
    """A band of the entry points ``geomfaf.bands``.

    Each is a function (survey, grid) -> (:class:`geomfaf.Band`, (y, x) values, NaN = nodata). It
    gets the survey without its deposits: they are labels, and no band may be made of them. A run
    screens the band inside the folds, like an element.

    Raises
    ------
    UsageError
        When no installed package has such a band.
    DataError
        When what the function returns does not fit the grid.
    """

    def __init__(self, name: str, survey: Survey, grid: Grid) -> None:
        make = load_installed(BANDS, name)
        package = origin(BANDS, name)
        band, values = make(replace(survey, deposits=survey.deposits.iloc[:0]), grid)
        self.values = np.asarray(values, np.float32)
        if not isinstance(band, Band) or self.values.shape != grid.shape:
            raise DataError(
                f'"{name}" of {package} gives {type(band).__name__} and values of shape'
                f" {self.values.shape}: it must give a geomfaf.Band and values of the grid's shape"
                f" {grid.shape}."
            )
        self.bands = [band]
        self.making = [{**SCREENED, "package": package}]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width)."""
        return self.values[None, row : row + height, column : column + width]

    def fingerprint(self) -> str:
        """Return a hash of the values and of what they are."""
        digest = hashlib.sha256(repr(self.bands).encode())
        digest.update(self.values.tobytes())
        return digest.hexdigest()
