"""A survey's columns and polygons go in; layers come out that give any block of their bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import geopandas as gpd
import numpy as np

from ..rasters.bands import Band
from ..rasters.grid import Grid
from ..survey.cleaning.log_ratios import LOG_RATIO
from ..survey.survey import Survey
from .geology import GeologyLayer
from .inverse_distance import IdwOptions, making_of, plan_grid, prepare

SCREENED = {"screened": "yes"}
"""Making of a band that a fold uses only where it tells ore from barren ground without the fold's
own ground, as an element.
"""

UNMAPPED = "unmapped"
"""Class of the ground inside the study area that no geology polygon covers."""


class EvidenceLayer(Protocol):
    """What the stack is made of: a source made ready once, which gives any block of its bands.

    A block's numbers do not depend on how the grid is cut into blocks, nor on the thread, process
    or cluster that computes it.
    """

    @property
    def bands(self) -> list[Band]:
        """What the bands of a block are."""

    @property
    def making(self) -> list[dict[str, str]]:
        """What each band remembers of its making."""

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (bands, height, width); only cells that are ``inside`` need a value."""

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the numbers."""


class ElementLayer:
    """The elements of a survey, interpolated by inverse distances.

    Parameters
    ----------
    survey, elements, grid, power, neighbours, radius, scale, options
        See :func:`geomfaf.build_stack`.
    """

    def __init__(
        self,
        survey: Survey,
        elements: Sequence[str],
        grid: Grid,
        *,
        power: float | str = 2.0,
        neighbours: int | str | None = 12,
        radius: float | None = None,
        scale: str = "log",
        options: IdwOptions | None = None,
    ):
        # Log-ratios are logarithms already, and may be negative.
        ratios = all(survey.elements.get(element) == LOG_RATIO for element in elements)
        scale = "linear" if ratios else scale
        self.plan, bands = plan_grid(
            survey.samples,
            elements,
            grid,
            power=power,
            neighbours=neighbours,
            radius=radius,
            scale=scale,
            units=survey.elements,
            options=options,
        )
        prepare(self.plan)
        self.bands = []
        for band in bands:
            kind = "ratio" if band.unit == LOG_RATIO else band.kind
            self.bands.append(replace(band, kind=kind))
        self.making = making_of(survey.samples, elements, self.plan, scale)

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (elements, height, width)."""
        return self.plan.block(row, column, height, width)

    def fingerprint(self) -> str:
        """Return a hash of samples, rule and options."""
        return self.plan.fingerprint()


class RockLayer:
    """The geological map as one class band, in which ground without a polygon is a class too.

    Parameters
    ----------
    geology, column, grid, rule
        See :func:`geomfaf.evidence.geology.rasterize_geology`.
    """

    def __init__(
        self,
        geology: gpd.GeoDataFrame,
        column: str,
        grid: Grid,
        *,
        rule: str = "largest",
    ):
        self.classes = GeologyLayer(geology, column, grid, rule=rule)
        band = self.classes.band
        self.unmapped = len(band.legend) + 1
        self.bands = [replace(band, legend={**band.legend, self.unmapped: UNMAPPED})]
        self.making: list[dict[str, str]] = [{}]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width)."""
        numbers = self.classes.block(row, column, height, width)
        numbers[numbers == 0] = self.unmapped
        return numbers[None].astype(np.float32)

    def fingerprint(self) -> str:
        """Return a hash of polygons and rule."""
        return self.classes.fingerprint()
