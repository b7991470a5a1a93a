"""Findings: what was found in the data, what was done about it, and what to do; one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ...errors import DataError

SEVERITIES = ("refused", "fixed", "noticed")
COLUMNS = ("severity", "layer", "column", "rule", "count", "done", "advice", "rows")

MIXED = "several commodities"
"""Rule of the finding that stands first, whatever else was found, unless data are refused."""

CHANGES = "geomfaf_changes"
"""Column of checked samples that says, row by row, which values are not as they were measured."""

ROWS_KEPT = 1000
"""Rows that a finding remembers, for its shapes on the map; the count has them all."""

ROWS_SHOWN = 5
"""Rows that the table gives as examples."""


@dataclass(frozen=True)
class Finding:
    """One line of the table that says what was found in the data and what was done about it.

    Attributes
    ----------
    severity : str
        ``refused`` (the run stops), ``fixed`` (the data were changed, as ``done`` says) or
        ``noticed``.
    layer, column : str
        Where; ``column`` is ``""`` when the finding is about whole rows.
    rule : str
        The rule that was broken, a few words.
    count : int
        How many values or rows broke it.
    done, advice : str
        What was done, and what to do.
    rows : tuple of int
        Source rows (0 = first row of the layer in its file, filtered or not), the first
        :data:`ROWS_KEPT` of them.
    shapes : tuple of geometry
        Places that are no row of the layer, such as the gaps of a map, in the CRS of the survey.

    Examples
    --------
    >>> import geomfaf as gm
    >>> finding = gm.Finding("fixed", "samples", "Au_ppb", "zero values", 3, "read as below detection")
    >>> f"{finding.count} {finding.rule}: {finding.done}"
    '3 zero values: read as below detection'
    """

    severity: str
    layer: str
    column: str
    rule: str
    count: int
    done: str
    advice: str = ""
    rows: tuple[int, ...] = ()
    shapes: tuple[shapely.Geometry, ...] = ()


def rows_of(index: pd.Index, mask: np.ndarray) -> tuple[int, ...]:
    """Return the source rows of a mask, each once: the index of a frame holds them while it is
    checked.

    >>> rows_of(pd.Index([4, 4, 7, 9]), np.array([True, True, False, True]))
    (4, 9)
    """
    here = index[np.flatnonzero(mask)[: 4 * ROWS_KEPT]].unique()
    return tuple(here[:ROWS_KEPT].tolist())


class Notes:
    """Collects the findings of one layer, or of one of its columns.

    Parameters
    ----------
    found : list of Finding
        Findings are appended to it.
    layer : str
        The role of the layer.
    index : Index
        The source rows of what is looked at.
    column : str
        ``""`` for findings about whole rows.
    """

    def __init__(
        self,
        found: list[Finding],
        layer: str,
        index: pd.Index,
        column: str = "",
    ) -> None:
        self.found = found
        self.layer = layer
        self.index = index
        self.column = column

    def fixed(
        self,
        rule: str,
        mask: np.ndarray,
        done: str,
        advice: str = "",
    ) -> None:
        """Say what was changed in the rows of a mask, if there are any."""
        self._add("fixed", rule, mask, done, advice)

    def noticed(
        self,
        rule: str,
        mask: np.ndarray,
        done: str,
        advice: str = "",
    ) -> None:
        """Say what is odd in the rows of a mask, if there are any."""
        self._add("noticed", rule, mask, done, advice)

    def refused(
        self,
        rule: str,
        mask: np.ndarray,
        done: str,
        advice: str = "",
    ) -> None:
        """Say what cannot be worked on in the rows of a mask, if there are any."""
        self._add("refused", rule, mask, done, advice)

    def _add(
        self,
        severity: str,
        rule: str,
        mask: np.ndarray,
        done: str,
        advice: str,
    ) -> None:
        mask = np.asarray(mask, bool)
        count = int(mask.sum())
        if count:
            rows = rows_of(self.index, mask)
            self.found.append(
                Finding(
                    severity,
                    self.layer,
                    self.column,
                    rule,
                    count,
                    done,
                    advice,
                    rows,
                )
            )


def as_table(
    findings: Iterable[Finding], labels: Mapping[str, pd.Series] | None = None
) -> pd.DataFrame:
    """Return findings as a table, the gravest first; ``rows`` are a few source rows as text.

    With ``labels`` (layer -> what its rows are called) column ``names`` says the same rows as a GIS
    shows them: ``"S003 (fid 4)"``. A GIS counts from 1.
    """
    findings = list(findings)
    # Rows and shapes of findings are for the map: asdict would copy them all.
    columns = {}
    for name in COLUMNS:
        columns[name] = [getattr(finding, name) for finding in findings]
    table = pd.DataFrame(columns)
    table["rows"] = [" ".join(map(str, finding.rows[:ROWS_SHOWN])) for finding in findings]
    if labels is not None:
        table["names"] = [_named(finding, labels) for finding in findings]
    # Mixed kinds of deposits limit the whole map: right behind what refuses the data.
    gravity = table["severity"].map({name: float(n) for n, name in enumerate(SEVERITIES)})
    gravity[table["rule"] == MIXED] = 0.5
    # Within a severity findings stay in the order in which the rules were asked.
    return table.iloc[np.argsort(gravity.to_numpy(), kind="stable")].reset_index(drop=True)


def _named(finding: Finding, labels: Mapping[str, pd.Series]) -> str:
    """Return the rows of a finding by name and feature id."""
    # A person finds a row by its name, a GIS by its feature id.
    known = labels.get(finding.layer)
    names = []
    for row in finding.rows[:ROWS_SHOWN]:
        name = "" if known is None else _plain(known.get(row))
        names.append(f"{name} (fid {row + 1})" if name else f"fid {row + 1}")
    return ", ".join(names)


def _plain(name: Any) -> str:
    """Return a name as text; a number that gaps made a decimal without its ``.0``."""
    if name is None or pd.isna(name):
        return ""
    whole = isinstance(name, float) and name.is_integer()
    return str(int(name)) if whole else str(name).strip()


def as_sentence(advice: str) -> str:
    """Return an advice as it stands behind a full stop.

    >>> as_sentence("add samples")
    'Add samples'
    """
    return advice[:1].upper() + advice[1:]


def as_refusals(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with every fix turned into a refusal: what ``strict`` means."""
    refusals = []
    for finding in findings:
        if finding.severity == "fixed":
            done = f"not allowed to fix (strict): {finding.done}"
            advice = finding.advice or "correct the data, or leave out strict"
            finding = replace(finding, severity="refused", done=done, advice=advice)
        refusals.append(finding)
    return refusals


def require_accepted(findings: pd.DataFrame) -> None:
    """Raise :class:`DataError` with the reasons when a finding refuses the data.

    Parameters
    ----------
    findings : DataFrame
        Of :func:`geomfaf.check_survey`.

    Raises
    ------
    DataError
        When a finding is ``refused``: layer, what is wrong, what to do.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, findings = gm.check_survey(gm.make_survey("small")[0])
    >>> gm.require_accepted(findings)  # nothing is refused
    """
    refused = findings[findings["severity"] == "refused"]
    if len(refused):
        lines = []
        for finding in refused.to_dict("records"):
            where = f"{finding['layer']} {finding['column']}".strip()
            what = f"{finding['done']}. {as_sentence(finding['advice'])}".rstrip(". ")
            lines.append(f"{where}: {what}.")
        raise DataError("\n".join(lines))


def findings_layer(
    findings: Iterable[Finding],
    layers: dict[str, gpd.GeoDataFrame],
    labels: Mapping[str, pd.Series] | None = None,
) -> gpd.GeoDataFrame:
    """Return the flagged features of a survey, one row each with what was found in it.

    Parameters
    ----------
    findings : iterable of Finding
    layers : dict
        Role -> layer as read, its index the source rows.
    labels : mapping, optional
        Role -> what its rows are called.

    Returns
    -------
    GeoDataFrame
        The columns of the table, ``row`` (the source row, from 0), ``fid_of_row`` (the same as a
        GIS counts, from 1), ``name`` (what the row is called, "" where nothing is said) and the
        feature's own shape, in the CRS of the layers.
    """
    # A row a flagged feature: what was found, where, and the feature's own shape.
    facts_shown = [name for name in COLUMNS if name != "rows"]
    parts = []
    for finding in findings:
        facts = {name: getattr(finding, name) for name in facts_shown}
        # 1. features of the layer, with their own shapes
        frame = layers.get(finding.layer)
        if frame is not None and finding.rows:
            rows = list(finding.rows)
            shapes = frame.geometry.reindex(rows).to_numpy()
            fids = [row + 1 for row in rows]
            known = (labels or {}).get(finding.layer)
            names = ["" if known is None else _plain(known.get(row)) for row in rows]
            parts.append(
                pd.DataFrame(
                    {
                        **facts,
                        "row": rows,
                        "fid_of_row": fids,
                        "name": names,
                        "geometry": shapes,
                    }
                )
            )
        # 2. places that are no feature, such as gaps
        if finding.shapes:
            parts.append(
                pd.DataFrame(
                    {
                        **facts,
                        "row": -1,
                        "fid_of_row": -1,
                        "name": "",
                        "geometry": list(finding.shapes),
                    }
                )
            )
    empty = pd.DataFrame(columns=[*facts_shown, "row", "fid_of_row", "name", "geometry"])
    table = pd.concat(parts, ignore_index=True) if parts else empty
    crs = next((frame.crs for frame in layers.values()), None)
    return gpd.GeoDataFrame(table, geometry="geometry", crs=crs)
