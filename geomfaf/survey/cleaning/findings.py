"""Findings: what was found in the data, what was done about it, and what to do; one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ...errors import DataError

SEVERITIES = ("refused", "fixed", "noticed")
COLUMNS = ("severity", "layer", "column", "rule", "count", "done", "advice", "rows")

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
    return tuple(int(row) for row in here[:ROWS_KEPT])


def note(
    found: list[Finding],
    severity: str,
    layer: str,
    rule: str,
    frame: pd.DataFrame | pd.Series | gpd.GeoDataFrame,
    mask: np.ndarray,
    done: str,
    advice: str = "",
    column: str = "",
) -> None:
    """Add a finding for the rows of a frame that a mask marks, if there are any."""
    mask = np.asarray(mask, bool)
    if mask.any():
        rows = rows_of(frame.index, mask)
        found.append(Finding(severity, layer, column, rule, int(mask.sum()), done, advice, rows))


def as_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table, the gravest first; ``rows`` are a few source rows as text."""
    findings = list(findings)
    table = pd.DataFrame(
        [[getattr(f, name) for name in COLUMNS] for f in findings], columns=list(COLUMNS)
    )
    table["rows"] = [" ".join(map(str, finding.rows[:ROWS_SHOWN])) for finding in findings]
    order = table["severity"].map({name: place for place, name in enumerate(SEVERITIES)})
    return table.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


def as_refusals(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with every fix turned into a refusal: what ``strict`` means."""
    return [
        (
            replace(
                finding,
                severity="refused",
                done=f"not allowed to fix (strict): {finding.done}",
                advice=finding.advice or "correct the data, or leave out strict",
            )
            if finding.severity == "fixed"
            else finding
        )
        for finding in findings
    ]


def require_accepted(findings: pd.DataFrame) -> None:
    """Raise :class:`DataError` with the reasons when a finding refuses the data."""
    refused = findings[findings["severity"] == "refused"]
    if len(refused):
        lines = [
            f"{finding['layer']} {finding['column']}".strip()
            + f": {finding['done']}. {finding['advice']}".rstrip(". ")
            + "."
            for finding in refused.to_dict("records")
        ]
        raise DataError("\n".join(lines))


def findings_layer(
    findings: Iterable[Finding], layers: dict[str, gpd.GeoDataFrame]
) -> gpd.GeoDataFrame:
    """Return the flagged features of a survey, one row each with what was found in it.

    Parameters
    ----------
    findings : iterable of Finding
    layers : dict
        Role -> layer as read, its index the source rows.

    Returns
    -------
    GeoDataFrame
        The columns of the table, ``row`` (the source row) and the feature's own shape, in the CRS
        of the layers.
    """
    parts = []
    for finding in findings:
        facts = {name: getattr(finding, name) for name in COLUMNS if name != "rows"}
        frame = layers.get(finding.layer)
        if frame is not None and finding.rows:
            here = frame.geometry.reindex(list(finding.rows))
            parts.append(
                pd.DataFrame({**facts, "row": list(finding.rows), "geometry": here.to_numpy()})
            )
        if finding.shapes:
            parts.append(pd.DataFrame({**facts, "row": -1, "geometry": list(finding.shapes)}))
    columns = [*(name for name in COLUMNS if name != "rows"), "row", "geometry"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    crs = next((frame.crs for frame in layers.values()), None)
    return gpd.GeoDataFrame(table, geometry="geometry", crs=crs)
