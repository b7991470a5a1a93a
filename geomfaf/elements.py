"""Which columns of a table are chemical elements, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Elements that a laboratory reports from rock, soil or sediment. Left out on purpose, as column names that
# almost always mean something else: H, N, O, He, Ne, No ("number"), At, Po, Ra, Rn, Fr, Pa, Np, Md, Es, Fm.
SYMBOLS = tuple(
    "Li Be B C F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb Mo Ru Rh Pd "
    "Ag Cd In Sn Sb Te I Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Th "
    "U".split()
)
OXIDES = tuple(
    "SiO2 TiO2 Al2O3 Fe2O3 FeO MnO MgO CaO Na2O K2O P2O5 Cr2O3 BaO SrO NiO CoO CuO ZnO PbO ZrO2 V2O5 SO3 WO3 "
    "MoO3 SnO2 Nb2O5 Ta2O5 ThO2 U3O8 UO2 Y2O3 La2O3 CeO2 Li2O Rb2O Cs2O BeO B2O3 As2O3 Sb2O3 Bi2O3".split()
)
_NAMES = {name.casefold(): name for name in (*SYMBOLS, *OXIDES)}

UNITS = {
    **dict.fromkeys(("ppm", "mgkg", "ugg", "µgg", "μgg", "gt", "gpt"), "ppm"),
    **dict.fromkeys(("ppb", "ugkg", "µgkg", "μgkg", "ngg", "mgt"), "ppb"),
    **dict.fromkeys(("ppt", "ngkg", "pgg"), "ppt"),
    **dict.fromkeys(("%", "pct", "percent", "perc", "wt%", "wtpct", "wt"), "%"),
}
_METHODS = frozenset(
    "icp icpms icpaes icpoes ms aes oes aas gfaas xrf pxrf wdxrf inaa naa fa fire ar aqua regia 4a 4acid acid total "
    "tot partial me es dcp ses conc value val assay".split()
)


def parse_element(column: str) -> tuple[str, str] | None:
    """Return (element or oxide, unit) that a column name says, or None when it names no element.

    The unit is ``ppm``, ``ppb``, ``ppt``, ``%`` or ``""`` where the name does not tell.

    >>> [parse_element(c) for c in ("Au_ppb", "CU (ug/g)", "Fe2O3 %", "zn ppm", "AS_")]
    [('Au', 'ppb'), ('Cu', 'ppm'), ('Fe2O3', '%'), ('Zn', 'ppm'), ('As', '')]
    >>> [parse_element(c) for c in ("NO", "Sample_No", "In_area", "Year", "ID")]
    [None, None, None, None, None]
    """
    tokens = [token for token in re.split(r"[^0-9a-zµμ%]+", str(column).casefold()) if token]
    if not tokens:
        return None
    if tokens[0].casefold() in UNITS and len(tokens) > 1:
        tokens = [tokens[1], tokens[0], *tokens[2:]]
    name = _NAMES.get(tokens[0].casefold())
    rest = [token.casefold() for token in tokens[1:]]
    if name is None:
        glued = re.fullmatch(r"([a-z0-9]+?)(ppm|ppb|ppt|pct|%)", tokens[0].casefold())
        name = _NAMES.get(glued.group(1)) if glued else None
        if glued is None or name is None:
            return None
        rest = [glued.group(2), *rest]
    if "".join(rest) in UNITS:
        return name, UNITS["".join(rest)]
    units = [UNITS[token] for token in rest if token in UNITS]
    if any(token not in UNITS and token not in _METHODS and not token.isdigit() for token in rest) or len(units) > 1:
        return None
    return name, units[0] if units else ""


def element_columns(columns: Iterable[str]) -> dict[str, str]:
    """Return the columns that name elements, with their units, in their own order.

    ``Y`` is yttrium only where no ``X`` stands beside it.

    >>> element_columns(["X", "Y", "Au_ppb", "Cu", "remarks"])
    {'Au_ppb': 'ppb', 'Cu': ''}
    """
    columns = [str(column) for column in columns]
    coordinates = {"x", "y"} if "x" in {column.casefold() for column in columns} else set()
    found = {}
    for column in columns:
        parsed = parse_element(column)
        if parsed and column.casefold() not in coordinates:
            found[column] = parsed[1]
    return found


def label(column: str, unit: str = "") -> str:
    """Return how a person writes an element column: ``Au (ppb)``.

    >>> label("AU_PPB", "ppb"), label("Cu")
    ('Au (ppb)', 'Cu')
    """
    parsed = parse_element(column)
    name = parsed[0] if parsed else column
    return f"{name} ({unit})" if unit else name
