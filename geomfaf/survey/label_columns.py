"""Headings go in; the column that names a sample, a deposit, its commodity or a fault comes out."""

from __future__ import annotations

import re

import geopandas as gpd
import pandas as pd

# What people head such columns with, the likeliest first; blanks and signs between words do not
# count. Each is matched from the first letter of the heading to its end.
_HEADINGS = {
    "sample": (
        r"(sample|samp|smp|spl)(id|ident|no|nr|nro|num|number|name|code|key)",
        r"(n|no|num|numero|id|code)?(muestra|amostra|echantillon|échantillon)(id|no)?",
        r"(probe|proben|prov|näyte|prøve)(id|nr|nummer|nro|numero|tunnus)?",
        r"样品?(编?号|名称|id)?|化探样号",
        r"sample|(site|station|stn|field|lab|locality|obs)(id|no|nr|number|num|code|name)",
        r"(object|unique|global)?id|nr|nro|no|number|name|code|编号|序号",
    ),
    "deposit": (
        r"(deposit|dep|mine|occurrence|occ|prospect|site|mineralisation|mineralization)name",
        r"name(en|eng|english)?|nom|nombre|nome|nimi|namn|navn|矿(床|点|区)?名称?|名称",
        r"(esiintymä|malmi)n?nimi|(lagerstätte|vorkommen)n?name|yacimiento|gisement|jazida",
        r"deposit|mine|prospect|occurrence|title|label|地名",
        r"(deposit|dep|mine|occurrence|occ|site|object)?(id|no|nr|number|code)|编号",
    ),
    "commodity": (
        r"(main|primary|major|principal)?commodit(y|ies)(1|main|code|name|list)?",
        r"(main|primary|major)?(metals?|minerals?|elements?)(1|main)?",
        r"sustancias?|mena|substances?(principale)?|minerai|rohstoffe?|metalle?",
        r"(pää)?(raaka-?aine|arvoaine|metalli)t?|malm|råvare|råvara",
        r"(主要?)?矿(种|产|产类型)|(成矿)?元素",
    ),
    "fault": (
        r"(fault|structure|struct|zone|shear|lineament)name",
        r"name(en|eng|english)?|nom|nombre|nome|nimi|namn|navn|断(层|裂)名称?|名称",
        r"(fault|structure|struct|seg|segment|object|feature)?(id|no|nr|number)|编号",
    ),
}


def label_column(frame: pd.DataFrame | gpd.GeoDataFrame, what: str) -> str | None:
    """Return the column that says which sample, deposit, commodity or fault a row is, or None.

    Parameters
    ----------
    frame : DataFrame
    what : {"sample", "deposit", "commodity", "fault"}

    Examples
    --------
    >>> table = pd.DataFrame({"ID": [7], "Main Commodities": ["Au, Cu"], "NAME": ["North pit"]})
    >>> [label_column(table, what) for what in ("sample", "deposit", "commodity")]
    ['ID', 'NAME', 'Main Commodities']
    """
    headings = [re.sub(r"[\s_.:#°º/()-]+", "", str(name).casefold()) for name in frame.columns]
    for pattern in _HEADINGS[what]:
        for heading, column in zip(headings, frame.columns, strict=True):
            if re.fullmatch(pattern, heading) and _says_something(frame[column]):
                return column
    return None


def _says_something(values: pd.Series) -> bool:
    """Return whether a column holds a word: an empty one names nothing, whatever its heading."""
    return not hasattr(values, "geom_type") and bool(values.notna().any())


def labels_of(frame: pd.DataFrame | gpd.GeoDataFrame, what: str) -> pd.Series:
    """Return what each row is called, as text; "" where nothing is said.

    >>> labels_of(pd.DataFrame({"sample_no": [348.0, None]}), "sample").tolist()
    ['348', '']
    """
    column = label_column(frame, what)
    if column is None:
        return pd.Series("", index=frame.index, dtype=object)
    # Numbers with gaps are floats to pandas: 348 would be called "348.0".
    values = frame[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # numbers beside blanks were read as 348.0
    return values.astype("string").str.strip().fillna("").astype(object)
