"""A layer of lines of several kinds goes in; its faults come out, and what was left out."""

from __future__ import annotations

import re

import geopandas as gpd
import pandas as pd

from .cleaning.findings import Finding, Notes

_FAULT = re.compile(
    r"fault|thrust|shear|cizalla|cisalham|cisaillement|skj[æa]r|scherzone|deformation|d[ée]collement|lineament|fractur|detachment|strike.?slip|falla|cabalgamiento|faille"
    r"|chevauchement|falha|st[öo]rung|verwerfung|[üu]berschiebung|siirro|hiertovy[öo]hyke|forkastning"
    r"|f[öo]rkastning|разлом|надвиг|断层|断裂|逆冲",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"contact|boundar|border|unconform|limit|outline|extent|edge|dyke|dike|vein|fold|syncline|anticline"
    r"|axis|axial|achse|eje\b|pliegue|dobra|falte|bedding|form ?line|trend ?line|foliation|isograd|joint|road|track"
    r"|contour|filon|filón|dique|\bgang\b|g[åa]ng|railway|fence|cleavage|layering|bedding|marker|coast|shore|water|river|map.?(sheet|edge|frame)|neatline|contacto"
    r"|l[íi]mite|contato|kontakt|gren[sz]e|raja|gr[äa]ns|граница|контакт|界线|边界|不整合",
    re.IGNORECASE,
)
MOST_KINDS = 60
"""A column with more values than this names lines, not kinds."""


def without_other_lines(faults: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the lines that are faults, where a column plainly tells them from contacts and the like.

    The column has values that say a fault and values that say another line; what says neither
    stays.

    >>> from shapely import LineString
    >>> line = LineString([(0, 0), (1, 1)])
    >>> lines = gpd.GeoDataFrame({"TYPE": ["Normal fault", "Contact", "?"]}, geometry=[line] * 3)
    >>> without_other_lines(lines, [])["TYPE"].tolist()
    ['Normal fault', '?']
    """
    for column in faults.columns:
        if column == faults.geometry.name or not pd.api.types.is_string_dtype(faults[column]):
            continue
        kinds = faults[column].dropna().unique()
        if not 1 < len(kinds) <= MOST_KINDS:
            continue
        real = [kind for kind in kinds if _FAULT.search(str(kind))]
        other = [kind for kind in kinds if _OTHER.search(str(kind)) and kind not in real]
        if not real or not other:
            continue
        left_out = faults[column].isin(other).to_numpy(bool)
        shown = ", ".join(f'"{kind}"' for kind in other[:6])
        done = f"lines that are no faults, as column {column} says, are left out: {shown}"
        advice = "if they are: name them with where = under [faults]"
        Notes(found, "faults", faults.index, column).fixed(
            "lines of other kinds", left_out, done, advice
        )
        return faults[~left_out]
    return faults
