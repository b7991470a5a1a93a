"""The GeoPackages of a run go in; the styled layers of targets, survey, folds and findings come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

import geopandas as gpd
import pandas as pd

from ...survey.label_columns import label_column
from .colours import COMMODITIES, LEVELS, STATUS, class_colours, commodity_colours
from .contents import RunContents, StoredLayer
from .fields import field_nodes, tip_nodes
from .markup import column_expression, text_expression
from .symbols import (
    ClassGroup,
    SymbolClass,
    by_class,
    by_group,
    fill_symbol,
    labels,
    labels_around,
    line_symbol,
    marker_symbol,
    single_symbol,
)
from .tree import Layer

PLAIN = "without names"
"""The style of targets and deposits for small maps."""

FINDING_TITLES = {
    "findings": "Data findings, points",
    "findings_lines": "Data findings, lines",
    "findings_areas": "Data findings, areas",
}
"""Layer of flagged features -> what it is called."""

NOTES = {
    "targets": (
        "The best ground of the map, outlined and ranked. Conceptual: no work on the ground has"
        ' tested it. "new" says only that no known deposit lies inside or near.'
    ),
    "cells": (
        "The map in windows, numbered row by row from the top left as the published method numbers"
        " its areas. The colour is that of the target on a cell, so that both layers tell one story;"
        " column vote says where most branches vote ore, the published rule. The targets are finer."
    ),
    "deposits": "Known deposits of the survey, which the models learned from.",
    "samples": "Cleaned values; flags says what was changed in a row.",
    "windows": "Where the network was trained: label 1 on deposits, 0 on barren ground.",
    "folds": "Ground that was held out together; the fold's model never saw it.",
    **dict.fromkeys(FINDING_TITLES, "What is wrong with the data, and what was done about it."),
    "isolines": "Equal values of an element; classes are percentiles of its map.",
    "anomalies": (
        "Ground of high values by three rules: percentiles, robust deviations above the median, and"
        " breaks of the concentration-area curve. High is not ore."
    ),
}
TIP_LINES = (
    *("status", "why", "area_km2", "mean_score", "heldout_score", "spread", "extrapolated"),
    *("elements", "best_samples", "geology", "rocks", "fault", "fault_distance_m"),
    *("nearest_deposit", "nearest_commodity", "deposit_distance_m", "factors"),
)


def target_name(columns: Sequence[str]) -> str:
    """Return the expression that names a target on the map."""
    return '"name"' if "name" in columns else 'to_string("number")'


STATUS_MEANING = {
    "new": "new: no known deposit near",
    "extension": "extension: a known deposit near",
    "known": "known: a deposit inside",
}
# On a target's own sheet its outline is thicker than those of its neighbours. A legend's symbol belongs to
# no part of a geometry; without that it would take the page's target for its own.
OUTLINE = (
    "if(@geometry_part_num is null or @atlas_featureid is null, 0.6,"
    " if($id = @atlas_featureid, 1.5, 0.4))"
)


def target_style(
    columns: Sequence[str],
    statuses: Iterable[str] = (),
    *,
    named: bool = True,
    known_distance: float | None = None,
) -> list[Element]:
    """Return the style of the targets, outlined by what is known of the ground.

    Parameters
    ----------
    statuses : iterable of str
        Those that occur: a legend names no other; all when empty.
    named : bool
        Write the names of the targets.
    known_distance : float, optional
        Metres around known deposits that are no new ground, for the legend.
    """
    classes = []
    there = set(statuses) & set(STATUS) or set(STATUS)
    meaning = dict(STATUS_MEANING)
    if known_distance:
        meaning["new"] = f"new: no known deposit within {known_distance:,.0f} m"
    for status, colour in STATUS.items():
        if status not in there:
            continue
        dashes = "dash" if status == "extension" else "solid"
        symbol = fill_symbol(
            colour,
            colour,
            0.6,
            alpha=0,
            dashes=dashes,
            computed_width=OUTLINE if named else "",
        )
        classes.append(SymbolClass(status, meaning[status], symbol))
    found = [by_class("status", classes)]
    if named:
        found.append(labels_around(target_name(columns), 9, bold=True, colour="#00287a"))
    title = f"'Target ' || {target_name(columns)}"
    return [*found, *field_nodes(columns), *tip_nodes(columns, title, TIP_LINES)]


def cell_style(columns: Sequence[str], statuses: Iterable[str] = ()) -> list[Element]:
    """Return the style of the numbered cells; those on a target or with a deposit show numbers. The
    legend names the ``statuses`` that occur, all when none is given.
    """
    fills = {
        "new": (STATUS["new"], "new: on an exploration target", 110),
        "extension": (STATUS["extension"], "extension: on a target beside a known deposit", 110),
        "known": (STATUS["known"], "known: on a target with a known deposit", 110),
        "missed": ("#c83c3c", "missed: a known deposit, on no target", 110),
        "": ("#ffffff", "on no target", 0),
    }
    there = {"" if pd.isna(status) else status for status in statuses} & set(fills) or set(fills)
    classes = [
        SymbolClass(status, label, fill_symbol(colour, "#a0a0a0", 0.1, alpha=alpha))
        for status, (colour, label, alpha) in fills.items()
        if status in there
    ]
    # Thousands of numbers on empty ground would hide the map.
    shown = "if(coalesce(\"status\", '') = '', NULL, to_string(\"number\"))"
    lines = ("status", "score", "heldout_score", "spread", "vote_share", "deposits")
    return [
        by_class("status", classes),
        labels(shown, 4, inside=True),
        *field_nodes(columns),
        *tip_nodes(columns, "'Cell ' || to_string(\"number\")", lines),
    ]


def deposit_style(deposits: pd.DataFrame, *, named: bool = True) -> list[Element]:
    """Return the style of the deposits: coloured by commodity, named where they have names."""
    columns = [str(column) for column in deposits.columns if column != "geometry"]
    # Hundreds of them, or those of a small map, would hide what lies below.
    size = 2.8 if named and len(deposits) < 100 else 1.9
    # 1. The commonest commodities; the rest would need colours that nobody tells apart.
    kind = label_column(deposits, "commodity")
    counts = deposits[kind].dropna().astype(str).value_counts() if kind else pd.Series(dtype=int)
    chosen = sorted(counts.index[: len(COMMODITIES)])
    if kind and len(chosen):
        colours = commodity_colours(chosen)
        classes = [SymbolClass(n, n, _deposit_symbol(colours[n], size)) for n in chosen]
        if len(counts) > len(chosen) or deposits[kind].isna().any():
            classes.append(SymbolClass("", "other or unknown", _deposit_symbol("#ffffff", size)))
        found = [by_class(str(kind), classes)]
    else:
        found = [single_symbol(_deposit_symbol("#ffffff", size))]
    # 2. Names; numbers of a data base say nothing on a map.
    name = label_column(deposits, "deposit")
    worded = name is not None and deposits[name].astype(str).str.contains("[^0-9. -]").any()
    if named and worded:
        found.append(labels(column_expression(str(name)), 6, priority=3))
    title = (
        f"coalesce(to_string({column_expression(str(name))}), 'Deposit')" if name else "'Deposit'"
    )
    lines = [str(c) for c in (kind, "map_score", "map_heldout", "best_percent", "target") if c]
    return [*found, *field_nodes(columns), *tip_nodes(columns, title, lines)]


def _deposit_symbol(colour: str, size: float) -> Element:
    return marker_symbol("triangle", colour, size)


def class_style(values: pd.Series, columns: Sequence[str]) -> list[Element]:
    """Return the style of the geological map: a colour for each class name, in the order of the
    names.
    """
    names = sorted(values.dropna().astype(str).unique())
    colours = class_colours(len(names))
    classes = [
        SymbolClass(name, name, fill_symbol(colour, "#8c8c8c", 0.1))
        for name, colour in zip(names, colours, strict=True)
    ]
    column = str(values.name)
    title = f"coalesce(to_string({column_expression(column)}), 'unmapped')"
    return [by_class(column, classes), *field_nodes(columns), *tip_nodes(columns, title, columns)]


def line_style(columns: Sequence[str], colour: str, width: float) -> list[Element]:
    """Return the style of faults."""
    name = next((column for column in columns if column.casefold() == "name"), None)
    title = f"coalesce(to_string({column_expression(name)}), 'Fault')" if name else "'Fault'"
    drawn = single_symbol(line_symbol(colour, width))
    return [drawn, *field_nodes(columns), *tip_nodes(columns, title, columns)]


def sample_style(columns: Sequence[str]) -> list[Element]:
    """Return the style of samples: small points that leave the map below visible."""
    name = "sample_id" if "sample_id" in columns else None
    title = f"'Sample ' || {column_expression(name)}" if name else "'Sample'"
    drawn = single_symbol(marker_symbol("circle", "#282828", 0.9, outline="#ffffff"))
    return [drawn, *field_nodes(columns), *tip_nodes(columns, title, columns)]


def outline_style(columns: Sequence[str], colour: str, width: float) -> list[Element]:
    """Return an outline without a fill."""
    drawn = single_symbol(fill_symbol("#ffffff", colour, width, alpha=0))
    return [drawn, *field_nodes(columns)]


def fold_style(columns: Sequence[str]) -> list[Element]:
    """Return the style of the folds: outlines with the fold's number."""
    number = labels('to_string("fold")', 8, inside=True, colour="#96009a")
    outline = single_symbol(fill_symbol("#ffffff", "#96009a", 0.4, alpha=0, dashes="dash"))
    return [outline, number, *field_nodes(columns)]


def window_style(columns: Sequence[str]) -> list[Element]:
    """Return the style of the training windows."""
    classes = [
        SymbolClass("1", "ore window", fill_symbol("#c83c3c", "#c83c3c", 0.3, alpha=60)),
        SymbolClass("0", "barren window", fill_symbol("#3c78c8", "#3c78c8", 0.2, alpha=40)),
    ]
    return [by_class("label", classes), *field_nodes(columns)]


def finding_style(columns: Sequence[str], geometry: str) -> list[Element]:
    """Return the style of data findings, by how grave they are."""
    colours = {
        "refused": "#c80000",
        "fixed": "#e69f00",
        "noticed": "#0072b2",
    }
    classes = []
    for severity, colour in colours.items():
        symbol = marker_symbol("cross2", colour, 2.2, outline=colour)
        if geometry == "Polygon":
            symbol = fill_symbol(colour, colour, 0.4, alpha=30)
        elif geometry == "Line":
            symbol = line_symbol(colour, 0.6)
        classes.append(SymbolClass(severity, severity, symbol))
    lines = ("layer", "column", "name", "fid_of_row", "done", "advice")
    return [
        by_class("severity", classes),
        *field_nodes(columns),
        *tip_nodes(columns, '"rule"', lines),
    ]


def isoline_layers(contents: RunContents) -> list[Layer]:
    """Return the isolines of each element; none where the run drew none."""
    stored = contents.layer("isolines.gpkg", "isolines")
    if stored is None or not stored.count:
        return []
    frame = contents.frame(stored)
    found = []
    for element in frame["element"].unique():
        source = stored.source + _only(element=element)
        style = isoline_style(frame[frame["element"] == element], stored.columns)
        note = NOTES["isolines"]
        found.append(
            Layer(
                f"{element} isolines",
                source,
                style,
                "Line",
                False,
                note,
            )
        )
    return found


def anomaly_layers(contents: RunContents) -> dict[str, list[Layer]]:
    """Return the anomaly classes of each element by the rule that cut them."""
    stored = contents.layer("isolines.gpkg", "anomalies")
    if stored is None or not stored.count:
        return {}
    frame = contents.frame(stored)
    found: dict[str, list[Layer]] = {}
    for (method, element), rows in frame.groupby(["method", "element"], sort=False):
        source = stored.source + _only(element=element, method=method)
        style = anomaly_style(rows, stored.columns)
        layer = Layer(
            f"{element} anomalies",
            source,
            style,
            "Polygon",
            False,
            NOTES["anomalies"],
        )
        found.setdefault(str(method), []).append(layer)
    return found


def _only(**chosen: str) -> str:
    """Return the part of a source that keeps the rows with some values."""
    return f"|subset={_where(chosen)}"


def _where(chosen: Mapping[str, str]) -> str:
    """Return the expression for the rows with some values."""
    terms = [f'"{column}" = {text_expression(str(value))}' for column, value in chosen.items()]
    return " AND ".join(terms)


def isoline_style(lines: pd.DataFrame, columns: Sequence[str]) -> list[Element]:
    """Return the style of isolines: darker and thicker with the class; of several elements the
    first is drawn, the others are in the legend.
    """
    value = 'to_string(round("value", if("value" < 10, 2, 0)))'
    renderer = _by_kind(lines, ["element"], _isoline_classes)
    return [renderer, labels(value, 5, priority=1), *field_nodes(columns)]


def _isoline_classes(lines: pd.DataFrame) -> list[SymbolClass]:
    middle = lines.groupby("class")["value"].median().sort_values()
    unit = lines["unit"].fillna("").iloc[0] if len(lines) else ""
    classes = []
    for place, (name, value) in enumerate(middle.items()):
        step = _step(place, len(middle))
        label = f"{name}: {value:,.3g} {unit}".strip()
        symbol = line_symbol(LEVELS[step], 0.2 + 0.15 * step)
        classes.append(SymbolClass(str(name), label, symbol))
    return classes


def anomaly_style(ground: pd.DataFrame, columns: Sequence[str]) -> list[Element]:
    """Return the style of anomaly classes: darker with the class, named by their lower ends; of
    several elements and rules the first is drawn, the others are in the legend.
    """
    renderer = _by_kind(ground, ["method", "element"], _anomaly_classes)
    return [renderer, *field_nodes(columns)]


def _anomaly_classes(ground: pd.DataFrame) -> list[SymbolClass]:
    lower = ground.groupby("class")["lower"].median()
    unit = ground["unit"].fillna("").iloc[0] if len(ground) else ""
    classes = []
    for place, (number, value) in enumerate(lower.items()):
        label = f"above {value:,.3g} {unit}".strip()
        colour = LEVELS[_step(place, len(lower))]
        symbol = fill_symbol(colour, colour, 0.2, alpha=150)
        classes.append(SymbolClass(str(number), label, symbol))
    return classes


def _by_kind(
    frame: pd.DataFrame,
    kinds: Sequence[str],
    classes_of: Callable[[pd.DataFrame], list[SymbolClass]],
) -> Element:
    """Return the renderer by ``class``; where rows of several kinds are in one layer, kind by kind."""
    groups = []
    for values, rows in frame.groupby(list(kinds), sort=False):
        chosen = dict(zip(kinds, map(str, values), strict=True))
        label = ", ".join(str(value) for value in reversed(values))
        groups.append(ClassGroup(label, _where(chosen), classes_of(rows)))
    if len(groups) == 1:
        return by_class("class", groups[0].classes)
    return by_group("class", groups)


def _step(place: int, count: int) -> int:
    """Return the colour of the classes' ramp that a place among so many classes has."""
    return round(place * (len(LEVELS) - 1) / max(1, count - 1))


def stored_style(layer: StoredLayer, frame: gpd.GeoDataFrame, geology_column: str) -> list[Element]:  # noqa: C901  (a case a layer)
    """Return the style of any layer of a GeoPackage, by its name and its features."""
    columns = layer.columns
    if layer.name == "targets":
        return target_style(columns, frame.get("status", ()))
    if layer.name == "cells":
        return cell_style(columns, frame.get("status", ()))
    if layer.name == "deposits":
        return deposit_style(frame)
    if layer.name == "samples":
        return sample_style(columns)
    if layer.name == "geology" and geology_column in columns:
        return class_style(frame[geology_column], columns)
    if layer.name == "folds":
        return fold_style(columns)
    if layer.name == "windows":
        return window_style(columns)
    if layer.name in FINDING_TITLES:
        return finding_style(columns, layer.geometry)
    if layer.name == "isolines" and {"class", "value", "element", "unit"} <= set(columns):
        return isoline_style(frame, columns)
    if layer.name == "anomalies" and {"class", "lower", "element", "unit"} <= set(columns):
        return anomaly_style(frame, columns)
    # What is not known by name is drawn plainly.
    if layer.geometry == "Line":
        return line_style(columns, "#3c3c3c", 0.35)
    if layer.geometry == "Polygon":
        return outline_style(columns, "#000000", 0.5)
    if layer.geometry == "Point":
        return [single_symbol(marker_symbol("circle", "#3c78c8", 1.6)), *field_nodes(columns)]
    return field_nodes(columns)
