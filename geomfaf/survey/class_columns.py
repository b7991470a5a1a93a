"""A geological map goes in; the column that holds its classes comes out: name before type before
count.
"""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
import pandas as pd

from ..errors import DataError, UsageError, nearest_name
from .cleaning.findings import Finding
from .headings import words_of

# What the world's surveys call such columns, the likeliest first. Each pattern is a whole word of
# a heading, or its beginning where it ends in \w*.
_NAMES = (
    r"lith\w*|litol\w*|rocks?|rock(type|code|name|class|unit|group|id)\w*|gestein\w*|petrogr\w*|"
    r"bergart\w*|kivilaji\w*|rocas?|roches?|rochas?|rcs|порода|литолог\w*|岩性\w*|岩石\w*",
    r"units?|unit(name|code|no|desc)\w*|formations?|formac\w*|strat\w*|einheit\w*|unidad\w*|unite|"
    r"muodostuma\w*|yksikko\w*|suite|свита|地层\w*|mapunit\w*",
    r"geol\w*|class\w*|klass\w*|clase\w*|lex|legend\w*|代号|label|symbol\w*|major1?|facies",
    r"desc\w*|types?|typ|tipo|names?|nam|code|cod|kode|koodi|nimi|namn|nombre|nom|bezeichnung|名称",
)
# Words of columns about something else: the sheet, the source, the record.
_OTHERS = (
    r"sheet\w*|mapsheet\w*|blatt\w*|kartblad\w*|karttalehti\w*|hoja|feuille|folha|source\w*|src|id|"
    r"guid|globalid|objectid|fid|oid|uuid|link|url|href|hyperlink|date\w*|edit\w*|created|updated|last\w*|modified|"
    r"area|perimeter|length|len|shape|state|country|province|year|author|scale|ref\w*|no|nr|num|"
    r"number|version|status|remark\w*|comment\w*|图幅\w*|编号|序号"
)


def class_column(
    geology: gpd.GeoDataFrame, wanted: str | None = None, found: list[Finding] | None = None
) -> str:
    """Return the column with the class names: the one named (in any case), or the likeliest.

    Parameters
    ----------
    geology : GeoDataFrame
    wanted : str, optional
        The column that the user names.
    found : list of Finding, optional
        Takes a finding where the choice is not plain: no name tells, or several do.

    Raises
    ------
    UsageError
        When there is no such column.
    DataError
        When no column can hold classes.

    Examples
    --------
    >>> import shapely
    >>> squares = [shapely.box(x, 0, x + 1, 1) for x in range(3)]
    >>> map_ = gpd.GeoDataFrame({"KARTBLAD": ["1", "2", "1"], "BERGART": ["a", "b", "c"]}, geometry=squares)
    >>> class_column(map_)
    'BERGART'
    """
    columns = [str(column) for column in geology.columns if column != geology.geometry.name]
    if wanted is not None:
        folded = {column.casefold(): column for column in columns}
        if wanted not in columns and wanted.casefold() not in folded:
            raise UsageError(
                f'the geology has no column "{wanted}".{nearest_name(wanted, columns)}'
            )
        return wanted if wanted in columns else folded[wanted.casefold()]
    ranked = class_candidates(geology)
    if not ranked:
        raise DataError(
            f"the geology has no column that can hold class names: name one of {', '.join(columns)}"
            " as column."
        )
    if found is not None:
        found += _choice(ranked, len(geology))
    return ranked[0][0]


def class_candidates(geology: gpd.GeoDataFrame) -> list[tuple[str, int]]:
    """Return (column, rank of its name) of the columns that can hold classes, the likeliest first.

    The rank is 0 for the plainest name and ``len(_NAMES)`` for one that does not tell; names of
    something else rank behind them. Dates, truth values and numbers with decimals are never
    classes; whole numbers are only where the name says so.
    """
    # Every column that can hold classes, by how plainly its name says so.
    scored = []
    for place, column in enumerate(geology.columns):
        if column == geology.geometry.name:
            continue
        rank = _rank(str(column))
        values = geology[column]
        text = pd.api.types.is_string_dtype(values) or values.dtype == object
        named = rank % (len(_NAMES) + 1) < len(_NAMES)
        if not (_is_text(values) if text else named and _is_code(values)):
            continue
        several = values.nunique()
        useless = several < 2 or several > max(0.9 * len(values), 2)
        # One class is no map, whatever its column is called.
        scored.append(((several < 2, rank, not text, useless, place), str(column)))
    return [(column, score[1]) for score, column in sorted(scored)]


def as_class_names(values: pd.Series) -> pd.Series:
    """Return classes as text; numbers without the ``.0`` that gaps give them.

    >>> as_class_names(pd.Series([10.0, None, 20.0])).tolist()
    ['10', None, '20']
    """
    if not pd.api.types.is_numeric_dtype(values):
        return values
    whole = values.astype("Int64").astype("string")
    return whole.astype(object).where(whole.notna(), None)


def _choice(ranked: list[tuple[str, int]], count: int) -> list[Finding]:
    """Return a finding where the choice of the column is not plain."""
    column, rank = ranked[0]
    others = [other for other, other_rank in ranked[1:] if other_rank <= rank]
    if rank >= len(_NAMES):
        done = f"column {column} is taken for the classes; its name does not tell"
    elif others:
        done = f"column {column} is taken for the classes"
    else:
        return []
    done += f"; others that could be: {', '.join(others)}" if others else ""
    advice = "if not: column = under [geology]"
    return [
        Finding(
            "noticed",
            "geology",
            column,
            "column of the classes",
            count,
            done,
            advice,
        )
    ]


def _rank(column: str) -> int:
    """Return how plainly a heading names classes, see :func:`class_candidates`."""
    words = words_of(column)
    rank = len(_NAMES)
    for number, pattern in enumerate(_NAMES):
        if any(re.fullmatch(pattern, word) for word in words):
            rank = number
            break
    # "MAPSHEET_CODE" says a class and something else: behind all that say one thing.
    other = any(re.fullmatch(_OTHERS, word) for word in words)
    return rank + (len(_NAMES) + 1) * other


def _is_text(values: pd.Series) -> bool:
    """Return whether a column of text or objects holds names: no dates, no lists."""
    known = values.dropna()
    if not len(known):
        return False
    first = known.iloc[0]
    if not isinstance(first, str):
        return False
    sample = known.head(50).astype(str)
    return not sample.str.fullmatch(r"\s*\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([ T][\d:.+Z-]*)?\s*").all()


def _is_code(values: pd.Series) -> bool:
    """Return whether a column of numbers holds whole ones."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return False
    numbers = values.dropna().to_numpy(float)
    return bool(len(numbers) and np.all(numbers == np.round(numbers)))
