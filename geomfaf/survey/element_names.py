"""Which columns of a table are chemical elements, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Elements that a laboratory reports from rock, soil or sediment. Left out on purpose, as column
# names that almost always mean something else: H, N, O, He, Ne, No ("number"), At, Po, Ra, Rn, Fr,
# Pa, Np, Md, Es, Fm.
SYMBOLS = tuple(
    "Li Be B C F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb"
    " Mo Ru Rh Pd Ag Cd In Sn Sb Te I Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os"
    " Ir Pt Au Hg Tl Pb Bi Th U".split()
)
OXIDES = tuple(
    "SiO2 TiO2 Al2O3 Fe2O3 FeO MnO MgO CaO Na2O K2O P2O5 Cr2O3 BaO SrO NiO CoO CuO ZnO PbO ZrO2"
    " V2O5 SO3 WO3 MoO3 SnO2 Nb2O5 Ta2O5 ThO2 U3O8 UO2 Y2O3 La2O3 CeO2 Li2O Rb2O Cs2O BeO B2O3"
    " As2O3 Sb2O3 Bi2O3".split()
)
_NAMES = {name.casefold(): name for name in (*SYMBOLS, *OXIDES)}
_TOO_SHORT = frozenset("b c f i k p s u v w y".split())
"""Symbols of one letter: with a number behind they are more often the code of something else."""
_WORDS = _TOO_SHORT | {"in", "as", "be"}

UNITS = {
    **dict.fromkeys(
        ("ppm", "ppmw", "mgkg", "mgkg1", "ugg", "ugg1", "µgg", "µgg1", "μgg", "μgg1"), "ppm"
    ),
    **dict.fromkeys(("gt", "gt1", "gpt", "gtonne", "gton"), "ppm"),
    **dict.fromkeys(
        ("ppb", "ppbw", "ugkg", "ugkg1", "µgkg", "µgkg1", "μgkg", "μgkg1", "ngg", "ngg1", "mgt"),
        "ppb",
    ),
    **dict.fromkeys(("ppt", "ngkg", "ngkg1", "pgg", "pgg1"), "ppt"),
    **dict.fromkeys(
        ("%", "pct", "percent", "perc", "wt%", "%wt", "wtpct", "pctwt", "wt", "mass%", "m%"), "%"
    ),
}
# A laboratory's method, with its number or not: "ICP", "ME-MS61", "Au-AA23", "FA50".
_METHODS = frozenset(
    "icp icpms icpaes icpoes ms aes oes aa aas gfaas xrf pxrf wdxrf edxrf inaa naa ina fa fire ar"
    " aqua regia aqr 4a 4acid acid total tot t partial me es dcp ses hfaas cvaas ise csa leco gra"
    " grav bleg conc concentration value val assay best avg mean final corr".split()
)
_TOTAL_IRON = {
    "tfe2o3": "Fe2O3",
    "fe2o3t": "Fe2O3",
    "fe2o3tot": "Fe2O3",
    "feot": "FeO",
    "feotot": "FeO",
    "tfe": "Fe",
}


def parse_element(column: str) -> tuple[str, str] | None:
    """Return (element or oxide, unit) that a column name says, or None when it names no element.

    The unit is ``ppm``, ``ppb``, ``ppt``, ``%`` or ``""`` where the name does not tell.

    >>> [parse_element(c) for c in ("Au_ppb", "CU (ug/g)", "Fe2O3 %", "zn ppm", "AS_")]
    [('Au', 'ppb'), ('Cu', 'ppm'), ('Fe2O3', '%'), ('Zn', 'ppm'), ('As', '')]
    >>> [parse_element(c) for c in ("AU_PPB_FA", "Au-AA23 ppm", "TFe2O3(%)", "pb mg kg-1")]
    [('Au', 'ppb'), ('Au', 'ppm'), ('Fe2O3', '%'), ('Pb', 'ppm')]
    >>> [parse_element(c) for c in ("NO", "Sample_No", "In_area", "Year", "ID")]
    [None, None, None, None, None]
    """
    tokens = [token for token in re.split(r"[^0-9a-zµμ%]+", str(column).casefold()) if token]
    tokens = _symbol_first(tokens)
    if not tokens or tokens == ["k", "ar"]:  # an age
        return None
    name = _NAMES.get(tokens[0]) or _TOTAL_IRON.get(tokens[0])
    rest = tokens[1:]
    if name is None:
        name, glued = _glued(tokens[0])
        rest = [*glued, *rest]
    if name is None:
        return None
    if "".join(rest) in UNITS:
        return name, UNITS["".join(rest)]
    rest = _joined_units(rest)
    units = {UNITS[token] for token in rest if token in UNITS}
    if len(units) > 1 or any(token not in UNITS and not _is_method(token) for token in rest):
        return None
    if not units and tokens[0] in _TOO_SHORT and any(token.isdigit() for token in rest):
        return None
    return name, units.pop() if units else ""


def _symbol_first(tokens: list[str]) -> list[str]:
    """Put units and methods that stand before the symbol behind it (``ppm_Cu``, ``ME-MS61 Cu``)."""
    start = (
        2 if len(tokens) > 2 and "".join(tokens[:2]) in UNITS and tokens[2] in _NAMES else 0
    )  # "mg/kg Cu"
    while start < len(tokens) - 1 and tokens[start] not in _NAMES and not _glued(tokens[start])[0]:
        start += 1
    before = _joined_units(tokens[:start])
    known = all(token in UNITS or _is_method(token) for token in before)
    if start and known and (tokens[start] not in _WORDS or any(token in UNITS for token in before)):
        tokens = [*tokens[start:], *before]
    # "Au in ppb"
    return [token for number, token in enumerate(tokens) if number == 0 or token != "in"]


def _glued(token: str) -> tuple[str | None, list[str]]:
    """Split ``cuppm`` and, where a mass number is glued on, ``as75ppm``."""
    match = re.fullmatch(r"([a-z0-9]+?)(ppm|ppb|ppt|pct|%)", token)
    if match and match.group(1) in _NAMES:
        return _NAMES[match.group(1)], [match.group(2)]
    isotope = re.fullmatch(r"([a-z]{1,2})([0-9]{2,3})(ppm|ppb|ppt|pct|%)?", token)
    if isotope and isotope.group(1) in _NAMES and _MASSES.get(isotope.group(1)) == isotope.group(2):
        return _NAMES[isotope.group(1)], [isotope.group(3)] if isotope.group(3) else []
    return None, []


# The isotopes that mass spectrometers measure and that tables name; "P31" and the like stay codes
# of something else.
_MASSES = dict(
    pair.split("-")
    for pair in "as-75 cu-63 zn-66 pb-208 au-197 ag-107 mo-95 sb-121 bi-209 hg-202 cd-111 sn-118 co-59 ni-60 cr-52 mn-55 fe-57 ba-137 sr-88 rb-85 zr-90 nb-93 cs-133 la-139 ce-140 th-232 ti-47 li-7 be-9 sc-45 ga-71 ge-72 se-82 te-125 hf-178 ta-181 tl-205 pt-195 pd-105".split()
)


def _joined_units(tokens: list[str]) -> list[str]:
    """Join a unit that was split at its signs (``mg``, ``kg``, ``1``) into one token."""
    for size in (3, 2):
        for start in range(len(tokens) - size + 1):
            joined = "".join(tokens[start : start + size])
            if joined in UNITS and not any(
                token in UNITS for token in tokens[start : start + size]
            ):
                return [*tokens[:start], joined, *tokens[start + size :]]
    return tokens


def _is_method(token: str) -> bool:
    return (
        token.isdigit()
        or token in _METHODS
        or token.rstrip("abcdw").rstrip("0123456789") in _METHODS
    )


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
