"""Log-ratios: concentrations as parts of a whole, on a declared sub-composition.

Concentrations add up to a constant, so that a rise of one part lowers all others; ratios of parts
do not (Aitchison 1986). Log-ratios exist for positive numbers alone:
:mod:`geomfaf.survey.cleaning.below_detection` settles values below detection first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import DataError, UsageError, require_known
from ...progress import say
from ..element_choice import select_elements
from ..element_names import label
from ..survey import Survey

LOG_RATIO = "ln ratio"
"""Unit of a log-ratio column."""

LOG_RATIOS = ("clr", "ilr")


def clr(parts: np.ndarray) -> np.ndarray:
    """Return centred log-ratios: the logarithm of each part over the geometric mean of all.

    Parameters
    ----------
    parts : (samples, parts) array
        Positive, in any units (another unit of a part shifts its column by a constant). A sample
        that lacks a part (NaN) has no log-ratios.

    Returns
    -------
    (samples, parts) array
        Each row adds up to 0.

    Examples
    --------
    >>> clr(np.array([[1.0, 10.0, 100.0]])).round(3)
    array([[-2.303,  0.   ,  2.303]])
    """
    logs = np.log(_positive(parts))
    return logs - logs.mean(axis=1, keepdims=True)


def ilr(parts: np.ndarray) -> np.ndarray:
    r"""Return isometric log-ratios in pivot coordinates: each part against the geometric mean of
    those behind it.

    .. math:: z_j = \sqrt{\frac{D-j}{D-j+1}} \ln \frac{x_j}{(x_{j+1} \cdots x_D)^{1/(D-j)}}, \quad j = 1 .. D-1

    (Egozcue et al. 2003, doi 10.1023/A:1023818214614; Filzmoser et al. 2009). Distances are those
    of the clr, without its redundant column. The order of the parts decides the coordinates.

    Parameters
    ----------
    parts : (samples, D) array
        As for :func:`clr`.

    Returns
    -------
    (samples, D - 1) array
    """
    return np.log(_positive(parts)) @ pivot_basis(np.shape(parts)[1])


def pivot_basis(count: int) -> np.ndarray:
    """Return the orthonormal basis of the pivot coordinates, (parts, parts - 1).

    >>> pivot_basis(3).round(3)
    array([[ 0.816,  0.   ],
           [-0.408,  0.707],
           [-0.408, -0.707]])
    """
    basis = np.zeros((count, count - 1))
    for column in range(count - 1):
        behind = count - column - 1
        basis[column, column] = np.sqrt(behind / (behind + 1))
        basis[column + 1 :, column] = -basis[column, column] / behind
    return basis


def use_log_ratios(
    survey: Survey, *, kind: str = "clr", parts: Sequence[str] | None = None
) -> Survey:
    """Return the survey with log-ratios of a sub-composition in place of its elements, for
    screening and bands.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`; it is not changed.
    kind : {"clr", "ilr"}
        :func:`clr` gives a column a part, ``clr(Cu)``; :func:`ilr` one less, ``ilr(Cu : Pb Zn)``.
    parts : sequence of str, optional
        Columns or elements; all usable elements when omitted. Elements that are no part are left
        out.

    Returns
    -------
    Survey
        ``elements`` are the log-ratios, with the unit ``ln ratio``.

    Raises
    ------
    UsageError
        For fewer than two parts, or an unknown kind.
    DataError
        Where a part has zeros or negative values, or no sample has all of them.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> list(gm.use_log_ratios(survey).elements)[:2]
    ['clr(Ag)', 'clr(Au)']
    """
    require_known(kind, LOG_RATIOS, "log-ratio")
    # 1. the parts
    chosen = list(survey.elements)
    if parts is not None:
        chosen = list(select_elements(survey.samples, parts))
    values = _values_of_parts(survey, chosen)
    # 2. their ratios
    short = [label(column) for column in chosen]
    if kind == "clr":
        names = [f"clr({name})" for name in short]
        ratios = clr(values)
    else:
        names = []
        for place, name in enumerate(short[:-1]):
            names.append(f"ilr({name} : {' '.join(short[place + 1 :])})")
        ratios = ilr(values)
    # 3. what was left out
    complete = np.isfinite(values).all(axis=1)
    line = f"{kind} of {len(chosen)} parts at {complete.sum():,} of {len(values):,} places"
    left = [label(column) for column in survey.elements if column not in chosen]
    say(line + (f"; no part and left out: {', '.join(left)}" if left else ""))
    samples = survey.samples.assign(**dict(zip(names, ratios.T, strict=True)))
    return replace(survey, samples=samples, elements=dict.fromkeys(names, LOG_RATIO))


def _values_of_parts(survey: Survey, chosen: Sequence[str]) -> np.ndarray:
    """Return the values of a sub-composition, (samples, parts), or say why they are none."""
    for column in chosen:
        if column not in survey.elements:
            raise DataError(
                f"{label(column)} cannot be a part: check set it aside. Leave it out of parts."
            )
    if len(set(chosen)) < 2:
        raise UsageError(
            f"a composition needs two parts or more, not {len(set(chosen))}: name them in parts."
        )
    values = survey.samples[list(chosen)].to_numpy(float)
    for column, numbers in zip(chosen, values.T, strict=True):
        bad = int((numbers <= 0).sum())
        if bad:
            raise DataError(
                f"{label(column)} has {bad} values that are zero or negative, and their logarithm"
                " does not exist: choose a replacement under [check] that gives a positive number,"
                ' such as "half".'
            )
    if not np.isfinite(values).all(axis=1).any():
        raise DataError(
            f"no sample has all {len(chosen)} parts ({', '.join(chosen)}): leave out the rarest"
            " ones."
        )
    return values


def _positive(parts: np.ndarray) -> np.ndarray:
    parts = np.asarray(parts, float)
    if parts.ndim != 2 or parts.shape[1] < 2:
        raise UsageError(
            f"an array of shape {parts.shape} is no composition: give (samples, two parts or more)."
        )
    if (parts <= 0).any():
        count = int((parts <= 0).sum())
        raise DataError(
            f"{count} parts are zero or negative: replace values below detection first"
            " (replace_censored)."
        )
    return np.where(np.isfinite(parts), parts, np.nan)
