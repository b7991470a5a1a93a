"""Deposits go in; what they are deposits of comes out: counts, the title of the map, and whether the
samples show it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import geopandas as gpd
import pandas as pd

from .element_names import parse_element
from .label_columns import labels_of

NAMED = 3
"""Commodities that a title names; the others are counted."""

# Symbol -> what the metal is called, in the languages that layers are recognised in.
_METALS = {
    "Ag": "silver plata argent silber prata hopea 银",
    "Al": "aluminium aluminum bauxite aluminio alumiini 铝",
    "Au": "gold oro or ouro kulta guld 金",
    "Ba": "barite baryte barium barita 钡 重晶石",
    "Bi": "bismuth bismuto wismut 铋",
    "Co": "cobalt cobalto kobalt koboltti 钴",
    "Cr": "chromium chromite cromo chrome chrom kromi 铬",
    "Cu": "copper cobre cuivre kupfer kupari koppar 铜",
    "F": "fluorite fluorspar fluorita 萤石",
    "Fe": "iron hierro fer eisen ferro rauta järn 铁",
    "Hg": "mercury mercurio mercure quecksilber 汞",
    "Li": "lithium litio litium 锂",
    "Mn": "manganese manganeso manganèse mangan mangaani 锰",
    "Mo": "molybdenum molibdeno molybdène molybdän molybdeeni 钼",
    "Nb": "niobium niobio 铌",
    "Ni": "nickel níquel niquel nikkeli 镍",
    "Pb": "lead plomo plomb blei chumbo lyijy bly 铅",
    "Pt": "platinum platino platine platin platina 铂",
    "Sb": "antimony antimonio antimoine antimon antimoni 锑",
    "Sn": "tin estaño étain zinn estanho tina tenn 锡",
    "Ta": "tantalum tantalio tantale tantal 钽",
    "Ti": "titanium titanio titane titan titaani 钛",
    "U": "uranium uranio uran uraani 铀",
    "V": "vanadium vanadio vanadiini 钒",
    "W": "tungsten wolfram tungsteno volframi 钨",
    "Zn": "zinc zink sinkki 锌",
}
_SYMBOLS = {word: symbol for symbol, words in _METALS.items() for word in words.split()}
_SEPARATOR = re.compile(r"\s*[;,/&+|、，；\n]\s*|\s+(?:and|AND|And|et|och|ja|und|y)\s+")


def kinds_of(cell: str) -> list[str]:
    """Return the commodities that a cell names, in their order.

    >>> kinds_of("Au, Ag"), kinds_of("Gold and silver"), kinds_of("Cu-Zn"), kinds_of("iron oxide")
    (['Au', 'Ag'], ['Gold', 'silver'], ['Cu', 'Zn'], ['iron oxide'])
    """
    kinds = []
    for part in _SEPARATOR.split(cell.strip()):
        # Blanks and hyphens divide nothing but metals: "iron oxide" is one thing.
        words = re.split(r"[\s–-]+", part)
        kinds += words if all(symbol_of(word) for word in words) else [part]
    return [kind for kind in kinds if kind]


def same_kind(commodity: str) -> str:
    """Return what all names of a commodity share: ``Au``, ``gold`` and ``GOLD`` are one kind.

    >>> same_kind("Gold"), same_kind("au"), same_kind("Rare Earths")
    ('Au', 'Au', 'rare earths')
    """
    return symbol_of(commodity) or commodity.casefold()


def main_commodities(deposits: gpd.GeoDataFrame) -> dict[str, int]:
    """Return what the deposits are of and how many of each, the commonest first.

    Where one commodity is named by all, all count for it. Else a deposit of several counts for the
    one that is named first; one that says nothing does not count.

    Examples
    --------
    >>> places = gpd.GeoDataFrame({"Commodity": ["Au, Cu", "au", "Iron", None]}, geometry=[None] * 4)
    >>> main_commodities(places)
    {'Au': 2, 'Iron': 1}
    """
    named = labels_of(deposits, "commodity").map(kinds_of)
    several = [kinds for kinds in named if kinds]
    shared = set.intersection(*({same_kind(one) for one in kinds} for kinds in several or [[]]))
    first = [kinds[0] for kinds in several]
    if shared:
        chosen = next(same_kind(kind) for kind in several[0] if same_kind(kind) in shared)
        first = [next(kind for kind in kinds if same_kind(kind) == chosen) for kinds in several]
    # One name each: the commonest of those that mean the same.
    names = pd.Series(first, dtype=object)
    kind = names.map(same_kind)
    spelling = names.groupby(kind).agg(lambda names: names.mode().iloc[0])
    counts = kind.map(spelling).value_counts(sort=False).sort_index()
    ordered = counts.sort_values(ascending=False, kind="stable")
    return {str(name): int(count) for name, count in ordered.items()}


def map_title(commodities: Mapping[str, int]) -> str:
    """Return what the map is headed with: every kind of deposit that it was made from.

    >>> map_title({"Au": 12})
    'Prospectivity for Au'
    >>> map_title({"iron": 17, "gold": 7, "copper": 2, "zinc": 1})
    'Prospectivity for iron, gold, copper and 1 more, all together'
    >>> map_title({})
    'Prospectivity'
    """
    names = list(commodities)
    if not names:
        return "Prospectivity"
    if len(names) == 1:
        return f"Prospectivity for {names[0]}"
    shown = names[:NAMED]
    more = len(names) - len(shown)
    last = f"{more} more" if more else shown.pop()
    return f"Prospectivity for {', '.join(shown)} and {last}, all together"


def mixture(commodities: Mapping[str, int]) -> str:
    """Say of how many kinds the deposits are; "" when they are of one.

    >>> mixture({"iron": 17, "gold": 7})
    'deposits of 2 kinds are mapped together (iron 17, gold 7): the map shows what they share'
    """
    if len(commodities) < 2:
        return ""
    counts = ", ".join(f"{name} {count}" for name, count in list(commodities.items())[:8])
    rest = ", ..." if len(commodities) > 8 else ""
    return (
        f"deposits of {len(commodities)} kinds are mapped together ({counts}{rest}): the map shows"
        " what they share"
    )


def symbol_of(commodity: str) -> str:
    """Return the element that a commodity names, "" when it names none.

    >>> [symbol_of(name) for name in ("Gold", "cu", "hierro", "REE")]
    ['Au', 'Cu', 'Fe', '']
    """
    # "Gold (placer)" is gold.
    word = re.sub(r"\s*\(.*", "", commodity).strip().casefold()
    symbol = {name.casefold(): name for name in _METALS}.get(word)
    return symbol or _SYMBOLS.get(word, "")


def commodity_sentence(commodities: Mapping[str, int], screening: pd.DataFrame) -> str:
    """Say which commodities' own elements are not enriched near the deposits; "" when all are.

    Parameters
    ----------
    screening : DataFrame
        See :func:`geomfaf.screen_elements`: its columns element, auc and kept.

    Examples
    --------
    >>> table = pd.DataFrame({"element": ["Au_ppb", "Cu_ppm"], "auc": [0.52, 0.71],
    ...     "kept": [False, True]})
    >>> commodity_sentence({"gold": 9, "copper": 2}, table)
    'Gold itself is not enriched near the deposits (Au, AUC 0.52): the map leans on other signs.'
    """
    if not len(screening):
        return ""
    elements = {}
    for row in screening.to_dict("records"):
        elements[(parse_element(str(row["element"])) or ("",))[0]] = row
    missed = []
    for name in commodities:
        symbol = symbol_of(name)
        if symbol not in elements:
            continue
        row = elements[symbol]
        if not bool(row["kept"]):
            same = name.casefold() == symbol.casefold()
            figure = f"AUC {row['auc']:.2f}" if same else f"{symbol}, AUC {row['auc']:.2f}"
            missed.append((name, figure))
    if not missed:
        return ""
    if len(missed) == 1:
        name, figure = missed[0]
        said = f"{name} itself is not enriched near the deposits ({figure})"
    else:
        listed = ", ".join(f"{name} ({figure})" for name, figure in missed)
        said = f"{listed} themselves are not enriched near the deposits"
    return f"{said[0].upper()}{said[1:]}: the map leans on other signs."
