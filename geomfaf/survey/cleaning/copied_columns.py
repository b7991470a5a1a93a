"""Columns of elements go in; of two that hold the same element one is set aside, with the reason."""

from __future__ import annotations

import numpy as np

from ..element_names import parse_element
from ..units import element_of, element_share, ppm_factor
from .column_rules import Assay
from .parse_numbers import OK


def set_copies_aside(assays: list[Assay]) -> None:
    """Keep one column an element: most measured values, then the element before its oxide, then the
    first.
    """
    groups: dict[str, list[Assay]] = {}
    for assay in assays:
        if parse_element(assay.column) and assay.aside is None:
            groups.setdefault(element_of(assay.name), []).append(assay)
    for element, group in groups.items():
        ranked = sorted(group, key=lambda assay: (-_measured(assay), assay.name != element))
        best = ranked[0]
        for other in ranked[1:]:
            # FeO beside Fe2O3 is the same element in another state, not a second measurement of it.
            if other.name != best.name and element not in (other.name, best.name):
                continue
            counts = f"{_measured(best):,} measured values against {_measured(other):,}"
            reason = f"{best.column} holds the same element ({counts}{_agreement(best, other)})"
            other.aside = ("same element twice", reason)


def _measured(assay: Assay) -> int:
    """Return how many values are neither missing nor censored."""
    return int((assay.flags == OK).sum())


def _agreement(best: Assay, other: Assay) -> str:
    """Return how two columns of one element agree, in one unit and as the element."""
    # Both in ppm of the element itself: an oxide holds less of it than it weighs.
    factor = ppm_factor(best.unit)
    other_factor = ppm_factor(other.unit)
    both = (best.flags == OK) & (other.flags == OK) & (best.numbers > 0)
    if factor is None or other_factor is None or not both.any():
        return ""
    ppm = best.numbers[both] * factor * element_share(best.name)
    other_ppm = other.numbers[both] * other_factor * element_share(other.name)
    return f"; converted, the other one is {np.median(other_ppm / ppm):.3g} times it"
