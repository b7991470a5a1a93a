"""What laboratories write in place of a number, or around one: a cell's text goes in; its flag, or
the plain ``<0.5`` that it stands for, comes out.
"""

from __future__ import annotations

import html
import re
import unicodedata

OK, BELOW, ABOVE, MISSING, UNREADABLE = range(5)
"""Flags: a measured value, left-censored (below a limit), right-censored, not measured, not
understood; in this order, so that ``flag <= ABOVE`` is what is known.
"""

# Words without their blanks, dots, strokes, hyphens and accents.
_MISSING_WORDS = frozenset(
    "* ? na nan null none nodata nv nm ns nr nss is iss lnr insufficient insufficientsample"
    " nosample notanalysed notanalyzed notmeasured notdetermined notreported notsampled missing"
    " b h nb ka nichtbestimmt keineangabe nichtanalysiert sd sindato nonanalyse nonmesure eimitattu"
    " blank #na #null #value! #div0! #ref! #num! #name? 无 缺 未测 未分析 无数据 нд неопр неопределялось"
    " noanalizado sindatos pasdedonnees ejanalyserad".split()
) | {""}
_BELOW_WORDS = frozenset(
    "bdl bd bld bql blq lod dl ldl udl mdl loq ld lld nd nondetect notdetected undetected tr trace"
    " traces nil belowdetection belowdetectionlimit belowdl belowlod belowlimit 未检出 痕量 痕"
    " lor rl pql n l nn un unwg udn unterng ng nwg bg nichtnachgewiesen nachweisgrenze"
    " unternachweisgrenze unterdernachweisgrenze nodetectado nodetecte nondetecte inferiorallimite"
    " eihavaittu alleg ldm sld ejpavisad ejdetekterad ikkepavist но необн необнаружено нпо ниженпо"
    " следы сл lloq iva".split()
)
_ABOVE_WORDS = frozenset(
    "overrange aboverange overlimit abovelimit uol udlo offscale saturated max g".split()
)
_OVER_WORDS = _ABOVE_WORDS | {"lod", "uloq", "ul", "udl"}
"""What may stand behind ``>``."""

_MARKS = {
    "<": "less than|lower than|smaller than|below|under|lt|menor que|menor a|menor de|inferior a"
    "|inferieur a|inf a|moins de|kleiner als|kleiner|unter|alle|mindre an|менее|меньше|ниже|小于|低于",
    ">": "greater than|more than|higher than|above|over|gt|mayor que|mayor a|mayor de|superior a"
    "|superieur a|plus de|grosser als|grosser|uber|yli|более|больше|выше|свыше|大于|高于",
}
"""Mark -> words in front of a number that mean it, without accents."""
_MARK_WORD = {
    mark: re.compile(rf"(?:{words})(?![a-zа-я])\.?\s*(?=[<>]?=?\s*[0-9.,])")
    for mark, words in _MARKS.items()
}

LETTERS = {
    "L": BELOW,
    "N": BELOW,
    "U": BELOW,
    "G": ABOVE,
    "B": MISSING,
    "H": MISSING,
}
"""Capitals that the USGS and others write behind a number, before it or beside it: less than, not
detected, greater than, blank, interference.
"""
_DIGITS = r"[0-9.,]*[0-9][0-9.,]*(?:[eE][-+]?[0-9]{1,2})?"
# A capital right behind the number: "5 g" is a unit that nobody knows.
_LETTER_BEHIND = re.compile(rf"({_DIGITS})(?:([LNUGBH])| ([LN]))")
_LETTER_BEFORE = re.compile(rf"<?([LNUG]) ?[(\[]?({_DIGITS})[)\]]?")
_WORD_BEFORE = re.compile(
    r"([<>]?=?\s*[^\W\d_][^0-9(\[<>=@:]*|[<>]=?)[\s@:=]*[(\[]\s*[<>]?=?\s*([.,]?[0-9].*?)\s*[)\]]"
    r"|([<>]?=?\s*[^\W\d_][^0-9(\[<>=@:]+?)[\s@:=]*[<>]?=?\s*([.,]?[0-9].*)"
)
_WORD_BEHIND = re.compile(r"([<>]?)\s*([0-9.,]*[0-9])\s*[(\[]?\s*([^\W\d_][^0-9()\[\]]+?)[)\]]?")

# No str.isdigit or NFKC here: they would read "5²" as 52 and other scripts' digits as ours.
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-"),
        **dict.fromkeys(
            "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
            " ",
        ),
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", None),
        **{chr(0xFF01 + number): chr(0x21 + number) for number in range(94)},
        **dict.fromkeys("≤⩽≦", "<="),
        **dict.fromkeys("≥⩾≧", ">="),
        **dict.fromkeys("‹〈", "<"),
        **dict.fromkeys("›〉", ">"),
    }
)


def plain_text(text: str) -> str | int:
    """Return a cell in small letters and plain signs, with ``<`` or ``>`` for every way of saying
    so; or the flag that its words stand for.

    >>> [plain_text(text) for text in ("ND (<0,5)", "5.000N", "less than 2", "L0.2", "12 ppm", "20 (BDL)")]
    ['<0,5', '<5.000', '<2', '<0.2', '12 ppm', '<20']
    >>> plain_text("n.d.") == BELOW, plain_text("12H") == MISSING
    (True, True)
    """
    text = html.unescape(text) if "&" in text else text
    text = " ".join(text.translate(_SIGNS).split())
    # 1. capitals beside the number
    for pattern, digits in ((_LETTER_BEHIND, 1), (_LETTER_BEFORE, 2)):
        letter = pattern.fullmatch(text)
        if letter is not None:
            meaning = LETTERS[next(filter(None, letter.groups()[2 - digits : 4 - digits]))]
            return MISSING if meaning == MISSING else "<>"[meaning == ABOVE] + letter[digits]
    # 2. words alone
    text = text.casefold()
    flag = flag_of_word(text)
    if flag is not None:
        return flag
    # 3. words in front of a number, or behind it
    text = _without_words(text)
    return text.rstrip("*;. ") if text[:1] in "<>" and re.search(r"\d[*;. ]+$", text) else text


def flag_of_word(text: str) -> int | None:
    """Return the flag that a word stands for (``bdl``, ``n.a.``, ``<LOD``), None for other texts."""
    if text in ("<", "<="):
        return BELOW
    if text in (">", ">="):
        return ABOVE
    key = re.sub(r"[\s._/\-]", "", text if text.isascii() else _bare(text))
    for words, flag in ((_MISSING_WORDS, MISSING), (_BELOW_WORDS, BELOW), (_ABOVE_WORDS, ABOVE)):
        if key in words:
            return flag
    if key[:1] == "<" and key.lstrip("<=") in _BELOW_WORDS:
        return BELOW
    if key[:1] == ">" and key.lstrip(">=") in _OVER_WORDS:
        return ABOVE
    return None


def _without_words(text: str) -> str:
    """Return ``<20`` for ``nd (<20)``, ``20 bdl``, ``under 20`` and the like; other texts as they
    are.
    """
    bare = text if text.isascii() else _bare(text)
    for mark, pattern in _MARK_WORD.items():
        found = pattern.match(bare)
        if found is not None:
            return mark + bare[found.end() :].lstrip("<>= ")
    before = _WORD_BEFORE.fullmatch(bare)
    if before is not None:
        word = (before[1] or before[3]).strip()
        flag = flag_of_word(word)
        # "l5" may be a slip for 15: one letter counts as a capital alone, or behind a sign.
        if flag in (BELOW, ABOVE) and (len(word) > 1 or word in "<>"):
            return "<>"[flag == ABOVE] + (before[2] or before[4]).strip()
    behind = _WORD_BEHIND.fullmatch(bare)
    if behind is not None and flag_of_word(behind[3]) == BELOW:
        return "<" + behind[2]
    return text


def _bare(text: str) -> str:
    """Return a text without the accents of its Latin letters."""
    parts = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", re.sub("(?<=[a-z])[\u0300-\u036f]", "", parts))
