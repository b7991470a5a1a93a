"""The options of an inverse-distance estimate, checked in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import UsageError, require_known
from .tree_engine import FAR, Rule

EXTRAS = ("distance", "count")
ENGINES = ("auto", "scipy", "numba")
IDW_SETTINGS = ("minimum", "max_distance", "anisotropy", "errors")
"""Fields of :class:`IdwOptions` that ``[grid]`` of a project file sets."""


@dataclass(frozen=True)
class IdwOptions:
    """What an inverse-distance estimate may need beside power, neighbours and radius.

    Parameters
    ----------
    minimum : int
        Cells with fewer samples within the radius are NaN.
    max_distance : float, optional
        Metres; cells whose nearest sample is farther away are NaN, however many samples there are.
    anisotropy : (float, float), optional
        Ratio and azimuth (degrees clockwise from north): along the azimuth values are alike
        ``ratio`` times farther than across it. Distances, the radius too, are then metres along the
        azimuth; those across it count ``ratio`` times.
    barriers : GeoDataFrame or ndarray, optional
        Fault lines, or (segments, 4) of x1, y1, x2, y2. A sample behind a barrier does not count.
    extras : sequence of {"distance", "count"}
        Further bands: metres to the nearest sample that counts, number of samples that count.
    errors : bool
        Cross-validate, see
        :func:`geomfaf.evidence.idw_engines.cross_validation.cross_validate_idw`, and keep the
        errors with the bands.
    tolerance : float
        Relative error allowed when all samples count; 0 sums directly.
    engine : {"auto", "scipy", "numba"}
        ``"auto"`` compiles unless the job is so small that scipy is done sooner.

    Raises
    ------
    UsageError
        For a value out of its range, or an unknown extra or engine.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.IdwOptions(anisotropy=(3.0, 45.0)).minimum
    1
    """

    minimum: int = 1
    max_distance: float | None = None
    anisotropy: tuple[float, float] | None = None
    barriers: Any = field(default=None, compare=False)
    extras: tuple[str, ...] = ()
    errors: bool = False
    tolerance: float = 1e-6
    engine: str = "auto"

    def check(self) -> None:
        """Refuse values that cannot be used."""
        if self.minimum < 1:
            raise UsageError(f"minimum {self.minimum} must be at least 1 sample.")
        if self.max_distance is not None and not self.max_distance > 0:
            raise UsageError(
                f"max_distance {self.max_distance} must be a positive number of metres."
            )
        if self.anisotropy is not None and not (
            len(self.anisotropy) == 2
            and 0 < self.anisotropy[0] < math.inf
            and math.isfinite(self.anisotropy[1])
        ):
            raise UsageError(
                f"anisotropy {self.anisotropy} is not (ratio, azimuth), for instance (3, 45)."
            )
        if set(self.extras) - set(EXTRAS):
            raise UsageError(f"extras {tuple(self.extras)} are unknown: use {', '.join(EXTRAS)}.")
        if not 0 <= self.tolerance < 0.1:
            raise UsageError(
                f"tolerance {self.tolerance} must be between 0 (direct sums) and 0.1; 1e-6 is"
                " usual."
            )
        require_known(self.engine, ENGINES, "engine")


def make_rule(
    power: float | str,
    neighbours: int | str | None,
    radius: float | None,
    options: IdwOptions,
) -> Rule:
    """Check the numbers and return the rule of which samples count; "auto" stands as the usual
    number.
    """
    power = 2.0 if power == "auto" else power
    neighbours = 12 if neighbours == "auto" else neighbours
    if isinstance(power, str) or isinstance(neighbours, str):
        raise UsageError(
            f'power {power!r} and neighbours {neighbours!r} must be numbers or "auto".'
        )
    if not (np.isfinite(power) and power > 0):
        raise UsageError(f"power {power} must be a positive number; 2 is usual.")
    if neighbours is not None and neighbours < 1:
        raise UsageError(f"neighbours {neighbours} must be at least 1; 12 is usual.")
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise UsageError(f"radius {radius} must be a positive number of metres.")
    options.check()
    farthest = FAR if options.max_distance is None else float(options.max_distance)
    return Rule(
        neighbours or 0,
        FAR if radius is None else float(radius),
        float(power),
        options.minimum,
        farthest,
    )
