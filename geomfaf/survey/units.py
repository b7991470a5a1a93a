"""Units of concentration, oxides and elements, and what a crustal rock holds of each."""

from __future__ import annotations

import re

import numpy as np

from ..errors import UsageError
from .element_names import UNITS, parse_element

PPM_IN = {
    "%": 1e4,
    "ppm": 1.0,
    "ppb": 1e-3,
    "ppt": 1e-6,
}
"""How many ppm (mg/kg) one of each unit is."""

IMPLAUSIBLE = 100.0
"""A median this many times off the upper crust is reported."""

CLEAR = 30.0
"""A unit is guessed when it brings the median within this factor of the upper crust."""

# IUPAC 2021, abridged to five figures (Prohaska et al. 2022, doi 10.1515/pac-2019-0603).
ATOMIC_MASS = {
    "H": 1.0080, "O": 15.999,
    "Li": 6.94, "Be": 9.0122, "B": 10.81, "C": 12.011, "F": 18.998, "Na": 22.990, "Mg": 24.305, "Al": 26.982,
    "Si": 28.085, "P": 30.974, "S": 32.06, "Cl": 35.45, "K": 39.098, "Ca": 40.078, "Sc": 44.956, "Ti": 47.867,
    "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845, "Co": 58.933, "Ni": 58.693, "Cu": 63.546, "Zn": 65.38,
    "Ga": 69.723, "Ge": 72.630, "As": 74.922, "Se": 78.971, "Br": 79.904, "Rb": 85.468, "Sr": 87.62, "Y": 88.906,
    "Zr": 91.224, "Nb": 92.906, "Mo": 95.95, "Ru": 101.07, "Rh": 102.91, "Pd": 106.42, "Ag": 107.87, "Cd": 112.41,
    "In": 114.82, "Sn": 118.71, "Sb": 121.76, "Te": 127.60, "I": 126.90, "Cs": 132.91, "Ba": 137.33, "La": 138.91,
    "Ce": 140.12, "Pr": 140.91, "Nd": 144.24, "Sm": 150.36, "Eu": 151.96, "Gd": 157.25, "Tb": 158.93, "Dy": 162.50,
    "Ho": 164.93, "Er": 167.26, "Tm": 168.93, "Yb": 173.05, "Lu": 174.97, "Hf": 178.49, "Ta": 180.95, "W": 183.84,
    "Re": 186.21, "Os": 190.23, "Ir": 192.22, "Pt": 195.08, "Au": 196.97, "Hg": 200.59, "Tl": 204.38, "Pb": 207.2,
    "Bi": 208.98, "Th": 232.04, "U": 238.03,
}  # fmt: skip

# Upper continental crust, ppm; majors are given there as oxides (%). Rudnick and Gao (2003),
# Treatise on Geochemistry 3, doi 10.1016/B0-08-043751-6/03016-4. The table has no Te, Rh and C.
_CRUST_OXIDES = {
    "SiO2": 66.6, "TiO2": 0.64, "Al2O3": 15.4, "FeO": 5.04, "MnO": 0.10, "MgO": 2.48, "CaO": 3.59, "Na2O": 3.27,
    "K2O": 2.80, "P2O5": 0.15,
}  # fmt: skip
_CRUST_TRACES = {
    "Li": 24, "Be": 2.1, "B": 17, "F": 557, "S": 62, "Cl": 370, "Sc": 14, "V": 97, "Cr": 92, "Co": 17.3, "Ni": 47,
    "Cu": 28, "Zn": 67, "Ga": 17.5, "Ge": 1.4, "As": 4.8, "Se": 0.09, "Br": 1.6, "Rb": 84, "Sr": 320, "Y": 21,
    "Zr": 193, "Nb": 12, "Mo": 1.1, "Ru": 0.00034, "Pd": 0.00052, "Ag": 0.053, "Cd": 0.09, "In": 0.056, "Sn": 2.1,
    "Sb": 0.4, "I": 1.4, "Cs": 4.9, "Ba": 628, "La": 31, "Ce": 63, "Pr": 7.1, "Nd": 27, "Sm": 4.7, "Eu": 1.0,
    "Gd": 4.0, "Tb": 0.7, "Dy": 3.9, "Ho": 0.83, "Er": 2.3, "Tm": 0.3, "Yb": 1.96, "Lu": 0.31, "Hf": 5.3, "Ta": 0.9,
    "W": 1.9, "Re": 0.000198, "Os": 0.000031, "Ir": 0.000022, "Pt": 0.0005, "Au": 0.0015, "Hg": 0.05, "Tl": 0.9,
    "Pb": 17, "Bi": 0.16, "Th": 10.5, "U": 2.7,
}  # fmt: skip


def parse_unit(text: str) -> str | None:
    """Return the unit that a text means, or None when it means none.

    >>> [parse_unit(text) for text in ("mg/kg", "ng/g", "wt.%", "g t-1", "g", "")]
    ['ppm', 'ppb', '%', 'ppm', None, None]
    """
    return UNITS.get(re.sub(r"[^0-9a-zµμ%]", "", str(text).casefold()))


def element_share(name: str) -> float:
    """Return the mass share of the element in an oxide, 1 for an element.

    >>> round(1 / element_share("ZnO"), 4), element_share("Zn")
    (1.2447, 1.0)
    """
    parts = [(symbol, int(count or 1)) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", name)]
    if not parts or any(symbol not in ATOMIC_MASS for symbol, _ in parts):
        raise UsageError(f'"{name}" is neither an element nor an oxide that geomfaf knows.')
    if len(parts) == 1:
        return 1.0
    masses = [ATOMIC_MASS[symbol] * count for symbol, count in parts]
    return masses[0] / sum(masses)


def element_of(name: str) -> str:
    """Return the element of an oxide or of itself.

    >>> element_of("Fe2O3"), element_of("Au")
    ('Fe', 'Au')
    """
    return re.match(r"[A-Z][a-z]?", name).group()  # type: ignore[union-attr]


def ppm_factor(unit: str) -> float | None:
    """Return how many ppm one of a unit is, None for an unknown unit; the ``?`` of a guessed one
    does not matter.
    """
    return PPM_IN.get(unit.removesuffix("?"))


def convert(values: np.ndarray | float, source: str, target: str) -> np.ndarray | float:
    """Convert concentrations from one unit, element or oxide to another.

    Parameters
    ----------
    values : array or float
    source, target : str
        Element or oxide and unit, as a column would be named: ``"ZnO %"``, ``"Zn ppm"``. Both need
        a unit.

    Examples
    --------
    >>> convert(0.0125, "ZnO %", "Zn ppm").round(2), convert(np.array([1.5]), "Au ppb", "Au ppm")
    (np.float64(100.43), array([0.0015]))
    """
    parsed = [parse_element(name) for name in (source, target)]
    for name, found in zip((source, target), parsed, strict=True):
        if found is None or not found[1]:
            raise UsageError(
                f'"{name}" does not say an element and a unit: write it like "Cu ppm" or "Fe2O3 %".'
            )
    (name, unit), (wanted, wanted_unit) = parsed  # type: ignore[misc]
    if element_of(name) != element_of(wanted):
        raise UsageError(f"{name} cannot be converted to {wanted}: they are different elements.")
    factor = PPM_IN[unit] / PPM_IN[wanted_unit] * element_share(name) / element_share(wanted)
    return np.multiply(values, factor)


def crustal_abundance(name: str) -> float | None:
    """Return what the upper continental crust holds of an element or oxide, in ppm; None where the
    table has none.

    >>> crustal_abundance("Ag"), round(crustal_abundance("Zn") / crustal_abundance("ZnO"), 4)
    (0.053, 0.8034)
    """
    element = element_of(name)
    ppm = _CRUST_TRACES.get(element)
    for oxide, percent in _CRUST_OXIDES.items():
        if element_of(oxide) == element:
            ppm = percent * 1e4 * element_share(oxide)
    return None if ppm is None else ppm / element_share(name)


def crust_ratio(median: float, name: str, unit: str) -> float | None:
    """Return a median divided by the crustal abundance, None where either the unit or the abundance
    is unknown.

    >>> round(crust_ratio(0.053, "Ag", "ppb"), 4)
    0.001
    """
    factor = ppm_factor(unit)
    crust = crustal_abundance(name)
    return None if factor is None or crust is None or not median > 0 else median * factor / crust


def best_unit(median: float, name: str, within: float = IMPLAUSIBLE) -> str | None:
    """Return the unit that brings a median nearest to the crust, None when none comes within a
    factor.

    >>> best_unit(0.053, "Ag"), best_unit(14.8, "Au"), best_unit(1e12, "Cu")
    ('ppm', 'ppb', None)
    """
    ratios = {unit: crust_ratio(median, name, unit) for unit in PPM_IN}
    distance = {unit: abs(np.log10(ratio)) for unit, ratio in ratios.items() if ratio}
    best = min(distance, key=distance.__getitem__, default=None)
    return best if best and distance[best] <= np.log10(within) else None


def guess_unit(median: float, name: str) -> str:
    """Return the likely unit of a column that does not say it, or ``""``.

    ppm is the usual one and is taken when it is plausible; another one only when it fits the crust
    and ppm does not.

    >>> guess_unit(28.0, "Cu"), guess_unit(0.6, "Au"), guess_unit(4.1, "Fe2O3"), guess_unit(5.0, "Te")
    ('ppm', 'ppb', '%', '')
    """
    usual = crust_ratio(median, name, "ppm")
    if usual and 1 / CLEAR <= usual <= CLEAR:
        return "ppm"
    return best_unit(median, name, CLEAR) or ""
