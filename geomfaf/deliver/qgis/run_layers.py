"""The folder of a run goes in; all layers of its project come out, by what they are, and the themes
that maps show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .contents import RunContents, StoredLayer
from .raster_layers import evidence_layers, prospectivity_layers
from .tree import DEFAULT, Group, Layer, Theme, shown_as_is
from .vector_layers import (
    FINDING_TITLES,
    NOTES,
    PLAIN,
    anomaly_layers,
    class_style,
    deposit_style,
    isoline_layers,
    line_style,
    outline_style,
    stored_style,
    target_style,
)


@dataclass(frozen=True)
class RunLayers:
    """The layers of a run's project; None and empty where the run has no such thing.

    Attributes
    ----------
    geology_order : tuple of int
        The lines of the geology layer's legend, the class with the most ground first.
    target_count : int
        How many targets there are.
    tables : list of Layer
        What each target's factors and elements are, a row each, at the target's point.
    """

    score: Layer
    mask: Layer | None
    trust: list[Layer]
    evidence: list[Layer]
    isolines: list[Layer]
    anomalies: dict[str, list[Layer]]
    targets: Layer | None
    target_columns: tuple[str, ...]
    target_count: int
    cells: Layer | None
    deposits: Layer | None
    faults: Layer | None
    study_area: Layer | None
    samples: Layer | None
    geology: Layer | None
    geology_order: tuple[int, ...]
    tables: list[Layer]

    def tree(self) -> list[Group]:
        """Return the groups of the layer tree, from the top; empty ones are left out."""
        survey = [self.faults, self.study_area, self.samples, self.geology]
        groups = [
            Group("Targets", _there([self.deposits, self.targets, self.cells, *self.tables])),
            Group("Structures and survey", _there(survey)),
            Group("Trust", _there([self.mask, *self.trust]), expanded=False),
            Group("Prospectivity", [self.score]),
            Group("Isolines", [*self.isolines, *self._anomaly_groups()], expanded=False),
            Group("Evidence", self.evidence, expanded=False),
        ]
        return [group for group in groups if group.members]

    def _anomaly_groups(self) -> list[Group]:
        """Return a closed group for each rule that cuts anomalies."""
        rules = self.anomalies.items()
        return [Group(f"Anomalies by {name}", found, expanded=False) for name, found in rules]


def _there(layers: list[Layer | None]) -> list[Layer]:
    return [layer for layer in layers if layer is not None]


def run_layers(contents: RunContents, record: Mapping[str, Any]) -> RunLayers:
    """Return the layers of a run's project.

    Parameters
    ----------
    contents : RunContents
        What lies in the folder.
    record : mapping
        The content of ``run.json``.
    """
    # 1. The map and how far to trust it.
    score, trust, mask = prospectivity_layers(contents)
    stored = contents.layer("targets.gpkg", "targets")
    # 2. The survey.
    geology, order = _geology_layer(contents, geology_column(contents, record))
    for file, name, title in (
        ("windows.gpkg", "folds", "Folds"),
        ("windows.gpkg", "windows", "Training windows"),
        *(("check.gpkg", name, title) for name, title in FINDING_TITLES.items()),
    ):
        layer = _plain_layer(contents, file, name, title, visible=False)
        trust += _there([layer])
    # 3. The reasons of each target.
    tables = []
    for name, title in (
        ("target_factors", "Factors of each target"),
        ("target_elements", "Elements of each target"),
    ):
        tables.append(_plain_layer(contents, "targets.gpkg", name, title, visible=False))
    return RunLayers(
        score=score,
        mask=mask,
        trust=trust,
        evidence=evidence_layers(contents),
        isolines=isoline_layers(contents),
        anomalies=anomaly_layers(contents),
        targets=_target_layer(contents, stored, record),
        target_columns=_told_columns(contents, stored) if stored else (),
        target_count=stored.count if stored else 0,
        cells=_plain_layer(contents, "targets.gpkg", "cells", "Numbered cells", visible=False),
        deposits=_deposit_layer(contents),
        faults=_fault_layer(contents),
        study_area=_area_layer(contents),
        samples=_plain_layer(contents, "survey.gpkg", "samples", "Samples", visible=False),
        geology=geology,
        geology_order=order,
        tables=_there(tables),
    )


def _plain_layer(
    contents: RunContents,
    file: str,
    name: str,
    title: str,
    *,
    visible: bool = True,
) -> Layer | None:
    """Return a layer with the style of its kind; None where it is not there or empty."""
    stored = contents.layer(file, name)
    if stored is None or not stored.count:
        return None
    style = stored_style(stored, contents.frame(stored), "")
    return Layer(
        title,
        stored.source,
        style,
        stored.geometry,
        visible,
        NOTES.get(name, ""),
    )


def _told_columns(contents: RunContents, stored: StoredLayer) -> tuple[str, ...]:
    """Return the columns of the targets that say something of one of them: a table has no room for
    the others.
    """
    frame = contents.frame(stored)
    if not len(frame):
        return stored.columns
    said = {column for column in frame if (frame[column].notna() & (frame[column] != "")).any()}
    return tuple(column for column in stored.columns if column in said)


def _target_layer(
    contents: RunContents, stored: StoredLayer | None, record: Mapping[str, Any]
) -> Layer | None:
    """Return the targets, also where there are none: the table stays readable."""
    if stored is None:
        return None
    statuses = contents.frame(stored).get("status", ())
    known = record.get("targets", {}).get("known_distance_m")
    plain = {PLAIN: target_style(stored.columns, statuses, named=False, known_distance=known)}
    style = target_style(stored.columns, statuses, known_distance=known)
    return Layer(
        "Targets",
        stored.source,
        style,
        "Polygon",
        True,
        NOTES["targets"],
        plain,
    )


def _deposit_layer(contents: RunContents) -> Layer | None:
    stored = contents.layer("targets.gpkg", "deposits")
    if stored is None or not stored.count:
        return None
    frame = contents.frame(stored)
    plain = {PLAIN: deposit_style(frame, named=False)}
    style = deposit_style(frame)
    return Layer(
        "Known deposits",
        stored.source,
        style,
        "Point",
        True,
        NOTES["deposits"],
        plain,
    )


def _fault_layer(contents: RunContents) -> Layer | None:
    stored = contents.layer("survey.gpkg", "faults")
    if stored is None or not stored.count:
        return None
    # Thousands of faults in the width of a few would cover the map.
    width = 0.35 if stored.count < 500 else 0.15
    return Layer("Faults", stored.source, line_style(stored.columns, "#3c3c3c", width), "Line")


def _area_layer(contents: RunContents) -> Layer | None:
    stored = contents.layer("survey.gpkg", "study_area")
    if stored is None or not stored.count:
        return None
    style = outline_style(stored.columns, "#000000", 0.5)
    return Layer("Study area", stored.source, style, "Polygon")


def _geology_layer(
    contents: RunContents, column: str | None
) -> tuple[Layer | None, tuple[int, ...]]:
    """Return the geological map, and the lines of its legend by the ground that they cover."""
    stored = contents.layer("survey.gpkg", "geology")
    if stored is None or not stored.count or column not in stored.columns:
        return None, ()
    frame = contents.frame(stored)
    # A legend that is too long names the classes with the most ground.
    names = frame[column].astype(str)
    area = frame.area.groupby(names[frame[column].notna()]).sum()
    places = {name: place for place, name in enumerate(sorted(area.index))}
    order = [places[name] for name in area.sort_values(ascending=False).index]
    style = class_style(frame[column], stored.columns)
    layer = Layer("Geology", stored.source, style, "Polygon", visible=False)
    return layer, tuple(order)


def geology_column(contents: RunContents, record: Mapping[str, Any]) -> str | None:
    """Return the column of the geological map that was used: as recorded, else the one that holds
    the names in the stack's legend.
    """
    stored = contents.layer("survey.gpkg", "geology")
    if stored is None:
        return None
    noted = record.get("geology_column")
    if noted in stored.columns:
        return str(noted)
    legends = [item.band.legend for item in contents.bands("stack.tif") if item.band.legend]
    wanted = {name for legend in legends for name in legend.values()}
    frame = contents.frame(stored)
    # The column that shares most names with the legend of the band.
    best = None
    most = 0
    for column in stored.columns:
        shared = len(wanted & set(frame[column].dropna().astype(str)))
        if shared > most:
            best = column
            most = shared
    return best


def themes_of(layers: RunLayers) -> dict[str, Theme]:
    """Return the themes of the project by name; those of evidence panels by the band's layer."""
    # 1. What several themes share.
    lines = shown_as_is(layers.faults, layers.study_area)
    named = shown_as_is(layers.deposits, layers.targets)
    plain = [(layer, PLAIN) for layer in _there([layers.deposits, layers.targets])]
    points = shown_as_is(layers.samples)
    ground = shown_as_is(layers.geology)
    if layers.geology is None:
        # Without the polygons, the rasterised map stands for them.
        ground = shown_as_is(*[layer for layer in layers.evidence if "Geology" in layer.name])
    # 2. What belongs to one of them.
    held = shown_as_is(*[layer for layer in layers.trust if layer.name.startswith("Held-out")])
    folds = shown_as_is(*[layer for layer in layers.trust if layer.name == "Folds"])
    # 3. The themes, their layers from the top.
    found = {
        "Target map": [*named, *lines, *shown_as_is(layers.mask, layers.score)],
        "Held-out map": [*plain[:1], *lines, *folds, *held],
        "Numbered cells": [*plain[:1], *shown_as_is(layers.cells), *lines],
    }
    if points or ground:
        found["Geology and samples"] = [*named[:1], *plain[1:], *lines, *points, *ground]
    for layer in layers.evidence:
        outlines = [*plain, *shown_as_is(layers.faults), (layer, DEFAULT)]
        found[f"Evidence: {layer.name}"] = outlines
    return {name: Theme(name, shown) for name, shown in found.items()}
