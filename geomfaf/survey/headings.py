"""Headings of a table go in; the pairs of columns that may be coordinates come out, by the words of
the world's surveys.

East and north are found together: a pair has two words of one style and the same rest, so that
``LONGITUDE`` goes with ``LATITUDE`` and never with yttrium's ``Y``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from .element_names import parse_element

# Word of the first axis -> word of the second; a language a line.
_DEGREES = {
    "longitude": "latitude", "lon": "lat", "long": "lat", "lng": "lat", "longitud": "latitud",
    "longitudine": "latitudine", "lange": "breite", "laenge": "breite", "langengrad": "breitengrad",
    "laengengrad": "breitengrad", "lengdegrad": "breddegrad", "langd": "bredd", "pituus": "leveys",
    "pituusaste": "leveysaste", "longitudes": "latitudes", "dlugosc": "szerokosc", "经度": "纬度",
    "东经": "北纬", "долгота": "широта", "经": "纬", "boylam": "enlem",
}  # fmt: skip
_LENGTHS = {
    "easting": "northing", "eastings": "northings", "eastern": "northern", "east": "north", "este": "norte",
    "leste": "norte", "est": "nord", "ost": "nord", "rechtswert": "hochwert", "rechts": "hoch",
    "ostwert": "nordwert", "ita": "pohjoinen", "itakoordinaatti": "pohjoiskoordinaatti",
    "ostning": "nordning", "oster": "norr", "øst": "nord", "eastng": "northng", "e": "n", "восток": "север", "横坐标": "纵坐标",
    "东坐标": "北坐标", "东": "北", "coordeste": "coordnorte",
}  # fmt: skip
_EITHER = {"x": "y", "cx": "cy"}
_STYLES = (("degrees", _DEGREES), ("lengths", _LENGTHS), ("either", _EITHER))

# Words around the axis: they are no part of it, and tell pairs of several systems apart.
_AROUND = (
    "coordinates coordinate coordinaat coords coord koordinate koordinaatti koordinat koord coor crd"
    " point centroid gauss decimal utm mga amg gda agd wgs nad etrs euref sweref psad sad sirgas bng"
    " osgb nztm mtm lcc gps dec dd dms deg grad degrees degree pos loc location site sample samp orig"
    " origin original map grid local geo proj projected true wkid metres meters metre meter meter coo"
    " coordenada coordenadas coordonnee coordonnees koordinaten coordinata координата координаты nat national"
    " reported num number center centre mid km m 坐标 c d pt gk kkj ykj tm utmz start collar hole z zone geogr geographic wgs84 dez"
).split()
_UNITS = {
    "m": "m", "metre": "m", "metres": "m", "meter": "m", "meters": "m", "km": "km", "deg": "deg",
    "degree": "deg", "degrees": "deg", "dd": "deg", "dms": "deg", "grad": "deg", "°": "deg",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two columns that may be east and north.

    Attributes
    ----------
    x, y : str
        The columns, as the table spells them.
    style : {"degrees", "lengths", "either"}
        What their words say they are.
    rest : str
        What the headings have in common besides: ``"nad83"``.
    unit : str
        ``"km"`` or ``"m"`` where the headings say it, else ``""``.
    sure : bool
        Whether all the words of the headings are known to stand around an axis.
    west, south : bool
        Whether the headings say that numbers without a sign count to the west, to the south.
    """

    x: str
    y: str
    style: str
    rest: str = ""
    unit: str = ""
    sure: bool = True
    west: bool = False
    south: bool = False


@dataclass(frozen=True)
class _Heading:
    """One heading taken apart: its axis word, the style, whether it is the second axis."""

    column: str
    word: str
    style: str
    second: bool
    rest: str
    unit: str
    half: str = ""


def coordinate_pairs(columns: Iterable[object]) -> list[Pair]:
    """Return the pairs of columns that are named like coordinates, in the order of the table.

    >>> [(p.x, p.y, p.style) for p in coordinate_pairs(["ID", "LONGITUDE", "LATITUDE", "Au", "Y"])]
    [('LONGITUDE', 'LATITUDE', 'degrees')]
    >>> [(p.x, p.y, p.unit) for p in coordinate_pairs(["UTME83", "UTMN83", "East (km)", "North (km)"])]
    [('UTME83', 'UTMN83', ''), ('East (km)', 'North (km)', 'km')]
    """
    names = [str(column) for column in columns]
    # Words that nobody knows are no harm where two headings share them: "X_L93", "Y_L93".
    for sure in (True, False):
        known = [heading for name in names if (heading := _taken_apart(name, sure)) is not None]
        pairs = []
        for first in known:
            if first.second:
                continue
            fitting = [other for other in known if _belong_together(first, other)]
            fitting.sort(key=lambda other: _unlike(first, other))
            pairs += [_pair(first, other, sure) for other in fitting[:1]]
        if pairs:
            return pairs
    return []


def _pair(first: _Heading, other: _Heading, sure: bool) -> Pair:
    """Return the pair of two headings that belong together."""
    west = first.half in ("w", "west", "oeste", "ouest")
    south = other.half in ("s", "south", "sur", "sud", "sul")
    names = (first.column, other.column)
    return Pair(*names, first.style, first.rest, first.unit, sure, west, south)


def axis_of(column: str) -> str | None:
    """Return "x" or "y" for a heading that names an axis, else None.

    >>> [axis_of(name) for name in ("CoordX", "Nordwert", "Longitude27", "Year", "Est_Au")]
    ['x', 'y', 'x', None, None]
    """
    heading = _taken_apart(column)
    return None if heading is None else "y" if heading.second else "x"


def _belong_together(first: _Heading, other: _Heading) -> bool:
    """Return whether a heading is the second axis of another."""
    if not other.second or first.style != other.style or first.rest != other.rest:
        return False
    # A single letter goes with its own other letter alone.
    return len(first.word) > 1 < len(other.word) or _same_language(first, other)


def _same_language(first: _Heading, other: _Heading) -> bool:
    return dict(_STYLES)[first.style][first.word] == other.word


def _unlike(first: _Heading, other: _Heading) -> tuple[bool, bool]:
    """Return in what two axes differ, to be sorted by: the language, then the case."""
    other_case = other.column.isupper() != first.column.isupper()
    return not _same_language(first, other), other_case


_HALVES = frozenset("e w n s o west oeste ouest south sur sud sul east este north norte".split())
_NO_PLACE = frozenset(
    "min max mean error err std size ratio anomaly shift delta rank rotation offset scale gradient slope vector"
    " velocity".split()
)
"""Words beside x and y that say a size, no place."""


def _taken_apart(column: str, sure: bool = True) -> _Heading | None:
    """Return what a heading says of an axis, None where it names none; unless ``sure``, any word
    may stand beside it, but for elements and sizes.
    """
    tokens = _tokens(column)
    if not sure and set(tokens) & _NO_PLACE:
        return None
    # A word as it stands goes before one inside another: "X-Koordinate" is no east.
    return _found_in(column, tokens, sure, False) or _found_in(column, tokens, sure, True)


def _found_in(column: str, tokens: list[str], sure: bool, inside: bool) -> _Heading | None:
    """Return what the first axis word says; ``inside`` looks within the tokens too."""
    for style, words in _STYLES:
        seconds = set(words.values())
        for place, token in enumerate(tokens):
            exact = token in words or token in seconds
            word = token if exact else _bare(token, words) if inside else None
            if word is None:
                continue
            others = [other for number, other in enumerate(tokens) if number != place]
            others = [*others, token.replace(word, "", 1)] if token != word else others
            # The half of the Earth, or of a zone ("50N"), stands beside the axis.
            half = next((other for other in others if other in _HALVES), "")
            if style == "degrees" or any(other.isdigit() for other in others):
                others = [other for other in others if other != half]
            # A word beside the axis that is none of those around it says something else.
            if sure and not all(_is_around(other) for other in others):
                continue
            if not sure and parse_element(" ".join(others)) is not None:
                continue
            unit = next((_UNITS[other] for other in others if other in _UNITS), "")
            kept = [other for other in others if other not in {"x", "y", *_UNITS, ""}]
            return _Heading(
                column,
                word,
                style,
                word in seconds,
                " ".join(kept),
                unit,
                half if style == "degrees" else "",
            )
    return None


def words_of(name: str) -> list[str]:
    """Return the words of a heading or a layer's name in lower case, and all of them as one.

    Words end at signs, at digits and at changes of case; accents are taken away.

    >>> words_of("FaultLines_2020")
    ['fault', 'lines', '2020', 'faultlines2020']
    """
    words = _tokens(name)
    return [*words, "".join(words)] if len(words) > 1 else words


def _tokens(column: str) -> list[str]:
    """Split a heading at signs, at changes of case and at digits; accents are taken away."""
    plain = unicodedata.normalize("NFKD", column)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold()
    return re.findall(r"[^\W\d_]+|\d+|°", plain)


def _is_around(token: str) -> bool:
    """Return whether a token is a number or one of the words that stand around an axis."""
    if token in {"", "x", "y"} or token.isdigit() or token in _AROUND or token in _UNITS:
        return True
    return any(token == one + other for one in _AROUND for other in _AROUND)


def _bare(token: str, words: dict[str, str]) -> str | None:
    """Return the axis word inside a token such as ``declong``, ``utme`` or ``xcoord``."""
    for word in sorted({*words, *words.values()}, key=len, reverse=True):
        before = token.removesuffix(word)
        behind = token.removeprefix(word)
        for other in (before, behind):
            # One letter beside one letter is a word of its own: "dn", "xm".
            known = other in _AROUND or (len(word) > 1 and other in {"x", "y", *_HALVES})
            if other != token and known and len(word) + len(other) > 2:
                return word
    return None
