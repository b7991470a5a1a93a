"""Which columns of a table are chemical elements, and in which unit."""

from __future__ import annotations

import re
import unicodedata
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
# The elements' own names, which count only beside a unit: "Lead" alone may be a verb. English,
# Spanish and Portuguese, French, German, Russian; a line an element.
_IN_FULL = {
    word: symbol
    for symbol, *words in (
        line.split()
        for line in """
        Au gold oro ouro or золото
        Ag silver plata prata argent silber серебро
        Cu copper cobre cuivre kupfer медь
        Pb lead plomo chumbo plomb blei свинец
        Zn zinc zink цинк
        As arsenic arsenico arsen мышьяк
        Sb antimony antimonio antimoine antimon сурьма
        Bi bismuth bismuto wismut висмут
        Hg mercury mercurio mercure quecksilber ртуть
        W tungsten wolfram wolframio tungsteno tungstene вольфрам
        Mo molybdenum molibdeno molybdene molybdan молибден
        Sn tin estano estanho etain zinn олово
        Ni nickel niquel никель
        Co cobalt cobalto kobalt кобальт
        Cr chromium cromo chrome chrom хром
        Mn manganese manganeso mangan марганец
        Fe iron hierro ferro fer eisen железо
        Ba barium bario барий
        U uranium uranio urane uran уран
        Th thorium torio торий
        Li lithium litio литий
        V vanadium vanadio ванадий
        Pt platinum platino platine platin платина
        Pd palladium paladio палладий
        """.splitlines()
        if line.strip()
    )
    for word in words
}
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
    fraction = _mass_fraction(str(column))
    if fraction is not None:
        return fraction
    tokens = _symbol_first(_heading_tokens(str(column)))
    # An age; a column of signs.
    if not tokens or tokens == ["k", "ar"] or re.search("[<>]", str(column)):
        return None
    name = _NAMES.get(tokens[0]) or _TOTAL_IRON.get(tokens[0])
    rest = tokens[1:]
    if name is None:
        name, glued = _glued(tokens[0], any(token in UNITS for token in rest))
        rest = [*glued, *rest]
    if name is None:
        return None
    if "".join(rest) in UNITS:
        return name, UNITS["".join(rest)]
    rest = _joined_units(rest)
    units = {UNITS[token] for token in rest if token in UNITS}
    others = [token for token in rest if token not in UNITS]
    masses = _MASSES.get(name.casefold(), frozenset())
    if not units and len(others) > 0 and tokens[0] not in _NAMES and others[0] in masses:
        return None  # a ratio of isotopes: Pb206_204
    if len(units) > 1 or not all(_is_method(token, bool(units)) for token in others):
        return None
    if not units and tokens[0] in _TOO_SHORT and any(token.isdigit() for token in rest):
        return None
    return name, units.pop() if units else ""


_RUSSIAN_UNITS = (
    ("мкг/кг", "ug/kg"),
    ("мкг/г", "ug/g"),
    ("мг/кг", "mg/kg"),
    ("нг/г", "ng/g"),
    ("мг/т", "mg/t"),
    ("г/т", "g/t"),
)
_HYDRIDES = frozenset("hg cv".split())
"""Hydride generation and cold vapour: no mercury and no variation before these detectors."""
_DETECTORS = frozenset("aas afs icp icpms icpaes icpoes aes".split())
_SGS = frozenset("ge go gc".split())
"""What the codes of one laboratory begin with: no germanium before such a code."""


def _heading_tokens(column: str) -> list[str]:
    """Split a heading into words, with its signs gone; names in full become symbols where a unit
    stands beside them.

    >>> _heading_tokens("Cu_ppm_HG-AAS"), _heading_tokens("Oro (г/т)"), _heading_tokens("Lead")
    (['cu', 'ppm', 'hgaas'], ['au', 'g', 't'], ['lead'])
    """
    text = column.casefold()
    for theirs, ours in _RUSSIAN_UNITS:
        text = text.replace(theirs, ours)
    tokens = [token for token in re.split(r"[^0-9a-zа-яµμ%]+", _plain(text)) if token]
    # 1. methods of two words whose first is a symbol
    for number in range(len(tokens) - 1, 0, -1):
        if tokens[number] in _DETECTORS and tokens[number - 1] in _HYDRIDES and number > 1:
            tokens[number - 1 : number + 1] = ["".join(tokens[number - 1 : number + 1])]
    if len(tokens) > 2 and tokens[0] in _SGS and re.search("[a-z][0-9]", tokens[1]):
        tokens = tokens[2:]
    # 2. names in full, which need a unit beside them
    joined = _joined_units(tokens)
    if any(token in UNITS for token in joined):
        tokens = [_IN_FULL.get(token, token).casefold() for token in tokens]
    return tokens


def _plain(text: str) -> str:
    """Return a text without accents; µ and й stay what they are."""
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFD", text)
    bare = "".join(sign for sign in parts if not "\u0300" <= sign <= "\u0304")
    return unicodedata.normalize("NFC", bare)


def _symbol_first(tokens: list[str]) -> list[str]:
    """Put units and methods that stand before the symbol behind it (``ppm_Cu``, ``ME-MS61 Cu``)."""
    start = (
        2 if len(tokens) > 2 and "".join(tokens[:2]) in UNITS and tokens[2] in _NAMES else 0
    )  # "mg/kg Cu"
    while start < len(tokens) - 1 and not _names_element(tokens[start]):
        start += 1
    before = _joined_units(tokens[:start])
    known = all(token in UNITS or _is_method(token, False) for token in before)
    if start and known and (tokens[start] not in _WORDS or any(token in UNITS for token in before)):
        tokens = [*tokens[start:], *before]
    # "Au in ppb"
    return [token for number, token in enumerate(tokens) if number == 0 or token != "in"]


def _names_element(token: str) -> bool:
    return token in _NAMES or _glued(token, with_unit=True)[0] is not None


def _glued(token: str, with_unit: bool = False) -> tuple[str | None, list[str]]:
    """Split ``cuppm`` and, where a mass number is glued on, ``as75ppm``; ``with_unit`` says that a
    unit stands elsewhere in the heading.
    """
    match = re.fullmatch(r"([a-z0-9]+?)(ppm|ppb|ppt|pct|%)", token)
    if match and match.group(1) in _NAMES:
        return _NAMES[match.group(1)], [match.group(2)]
    turned = re.sub(r"^([0-9]{1,3})([a-z]{1,2})(?=$|ppm|ppb|ppt|pct|%)", r"\2\1", token)
    isotope = re.fullmatch(r"([a-z]{1,2})([0-9]{1,3})(ppm|ppb|ppt|pct|%)?", turned)
    if isotope is None:
        return None, []
    name, mass, unit = isotope.groups()
    if name not in _NAMES:
        return None, []
    # "Au1_ppb" and "Au2_ppb" are the first and the second analysis.
    repeat = len(name) == 2 and mass in "123456789" and (unit or with_unit)
    if mass not in _MASSES.get(name, ()):
        return (_NAMES[name], [unit] if unit else []) if repeat else (None, [])
    # "P31" and "U238" stay codes of something else, unless they carry a unit.
    if name in _TOO_SHORT and not unit and not with_unit:
        return None, []
    return _NAMES[name], [unit] if unit else []


# The isotopes that mass spectrometers measure, by element.
_MASSES = {
    name: frozenset(masses.split())
    for name, _, masses in (
        line.strip().partition(" ")
        for line in (
            "li 6 7;be 9;b 10 11;na 23;mg 24 25 26;al 27;si 28 29 30;p 31;s 32 33 34;k 39 41;"
            "ca 40 42 43 44;sc 45;ti 46 47 48 49;v 50 51;cr 50 52 53;mn 55;fe 54 56 57;co 59;"
            "ni 58 60 61 62;cu 63 65;zn 64 66 67 68 70;ga 69 71;ge 70 72 73 74;as 75;"
            "se 74 76 77 78 80 82;br 79 81;rb 85 87;sr 84 86 88;y 89;zr 90 91 92 94 96;nb 93;"
            "mo 92 94 95 96 97 98 100;ru 99 100 101 102 104;rh 103;pd 102 104 105 106 108 110;"
            "ag 107 109;cd 106 108 110 111 112 113 114 116;in 113 115;sn 112 116 117 118 119 120 122"
            " 124;sb 121 123;te 122 124 125 126 128 130;i 127;cs 133;ba 130 134 135 136 137 138;"
            "la 138 139;ce 140 142;pr 141;nd 142 145 146 148 150;sm 147 148 149 150 152 154;"
            "eu 151 153;gd 154 155 156 157 158 160;tb 159;dy 160 161 162 163 164;ho 165;"
            "er 162 164 166 167 168 170;tm 169;yb 170 171 172 173 174 176;lu 175 176;"
            "hf 174 178 179 180;ta 181;w 180 182 183 184 186;re 185 187;os 186 189"
            " 190 192;ir 191 193;pt 192 194 195 196 198;au 197;hg 196 198 199 200 201 202 204;"
            "tl 203 205;pb 208;bi 209;th 232;u 234 235 238"
        ).split(";")
    )
}


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


def _mass_fraction(column: str) -> tuple[str, str] | None:
    """Return element and unit of ``w(Au)/10-9``, ``Cu(×10^-6)`` and ``w(Au)/(ng/g)``, as tables of
    China write them.
    """
    named = re.fullmatch(r"\s*[wω]\s*[(（]\s*([A-Za-z0-9]+)\s*[)）]\s*[/_ ]?\s*(\D.*)", column)
    if named is not None and not named[2].startswith(("10", "×")):
        return parse_element(f"{named[1]} {named[2]}")
    match = re.fullmatch(
        r"\s*[wω]?\s*[(（]?\s*([A-Za-z0-9]+?)\s*[)）]?\s*[/_ ]?\s*[(（×*xX]*\s*10\s*\^?\s*[-−–]\s*(2|6|9|12)"
        r"\s*[)）]*\s*",
        column,
    )
    if match is None or match[1].casefold() not in _NAMES:
        return None
    return _NAMES[match[1].casefold()], {
        "2": "%",
        "6": "ppm",
        "9": "ppb",
        "12": "ppt",
    }[match[2]]


# What stands beside a symbol and is no method: statistics, limits, qualifiers, other columns.
_NO_METHODS = frozenset(
    "min max std stdev sd err error sigma rank log ln log10 lg clr ilr ratio anom anomaly anomalous"
    " zscore score q qual qualifier flag dl ld lod loq mdl lld ldl udl uld lloq lor pql rl ll ul limit"
    " sgn sign symbol op operator prefix mod modifier rmk remark remarks comment com bdl nd cens censored"
    " lessthan detection lower upper age name type threshold background residual residuals median mode geomean"
    " uncertainty precision accuracy difference diff change blank standard certified expected predicted"
    " modelled modeled interpolated kriged trend loading factor normalised normalized rec recd received"
    " class group unit code id no count n sum total_ dup duplicate rsd cv percentile pctl norm index"
    " oz lb lbs ton opt gpm of the and or per on at by".split()
)
_METHOD_CODE = re.compile(r"[a-z]{0,5}[0-9]{1,4}[a-z]{0,4}")


def _is_method(token: str, with_unit: bool) -> bool:
    """Return whether a token is a laboratory's method: a known one, or the shape of a code.

    Letters and digits are a code anywhere (``TL43``, ``1DX``); letters alone (``NADNC``) only where
    a unit says that the column holds concentrations.
    """
    if token.isdigit() or token in _METHODS:
        return True
    if with_unit and token == "hf":  # hydrofluoric acid: two elements would have no unit
        return True
    if token in _NO_METHODS or token in _NAMES:
        return False
    if _METHOD_CODE.fullmatch(token):
        return True
    return with_unit and token.isascii() and token.isalpha() and 2 <= len(token) <= 12


def unused_element_columns(columns: Iterable[str], used: Iterable[str]) -> list[str]:
    """Return the columns that begin with an element's symbol and are not used as one.

    >>> unused_element_columns(["Au_ppb", "Au_oz/t", "Cu_Zn", "Name", "As_of"], ["Au_ppb"])
    ['Au_oz/t', 'Cu_Zn']
    """
    taken = set(used)
    found = []
    for column in map(str, columns):
        tokens = _heading_tokens(column)
        if column in taken or len(tokens) < 2 or tokens[0] not in _NAMES or tokens[0] in _WORDS:
            continue
        # "Au_best_of" is read aloud; "AU_NAME" is a word in capitals: both are worth a look.
        found.append(column)
    return found


LEAST_ISOTOPES = 3
"""Columns named like isotopes (``Cu65``) that make ``P31`` one too."""


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
    return {**found, **_isotopes(columns, found)}


def _isotopes(columns: Iterable[str], found: dict[str, str]) -> dict[str, str]:
    """Return columns such as ``P31`` and ``U238`` where isotopes of other elements stand beside
    them.
    """
    shape = re.compile(r"([A-Za-z]{1,2})([0-9]{1,3})")
    others = [column for column in found if shape.fullmatch(column)]
    if len(others) < LEAST_ISOTOPES:
        return {}
    single = [match for column in columns if (match := shape.fullmatch(column))]
    return {
        match[0]: ""
        for match in single
        if match[0] not in found and match[2] in _MASSES.get(match[1].casefold(), ())
    }


def label(column: str, unit: str = "") -> str:
    """Return how a person writes an element column: ``Au (ppb)``.

    >>> label("AU_PPB", "ppb"), label("Cu")
    ('Au (ppb)', 'Cu')
    """
    parsed = parse_element(column)
    name = parsed[0] if parsed else column
    return f"{name} ({unit})" if unit else name
