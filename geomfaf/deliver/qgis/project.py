"""The folder of a finished run goes in; ``project.qgz`` comes out, which QGIS opens ready to print."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import geopandas as gpd
from pyproj import CRS

from ...files import finished_file
from ...survey.label_columns import label_column
from .contents import RunContents, read_contents
from .evidence_layouts import evidence_panels, geology_map
from .markup import DOCTYPE, QGIS_VERSION, crs_node, fixed_uuid, node, to_text
from .page import Sheet, Titles
from .run_layers import RunLayers, geology_column, run_layers, themes_of
from .sheets import CAUTION
from .single_files import style_files
from .target_layouts import cell_map, target_map, target_sheets
from .tree import layer_node, tree_node

Bounds = tuple[float, float, float, float]


def write_project(out: str | Path, record: Mapping[str, Any]) -> Path:
    """Write ``project.qgz`` from the files of a run's folder, and the styles of those files.

    The project names every file relative to itself, so that the folder can be moved. QGIS is not
    needed.

    Parameters
    ----------
    out : path
        The run's folder; ``scores.tif`` and ``stack.tif`` must be there, what else is missing is left
        out of the project.
    record : mapping
        The content of ``run.json``.

    Returns
    -------
    Path
        The project.

    Raises
    ------
    UsageError
        The folder holds no finished run.
    """
    # 1. What there is, and how single files look.
    contents = read_contents(out)
    layers = run_layers(contents, record)
    style_files(contents, geology_column(contents, record) or "")
    # 2. The project itself.
    text = DOCTYPE + to_text(project_node(contents, layers, record))
    path = contents.folder / "project.qgz"
    # A fixed time of day: equal runs give equal files.
    entry = zipfile.ZipInfo("project.qgs", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with finished_file(path, overwrite=True) as final, zipfile.ZipFile(final, "w") as archive:
        archive.writestr(entry, text.encode("utf-8"))
    return path


def project_node(contents: RunContents, layers: RunLayers, record: Mapping[str, Any]) -> Element:
    """Return the project as QGIS reads it."""
    crs, bounds, cell = contents.grid
    system = crs_node(crs)
    titles = map_titles(contents, record, crs)
    themes = themes_of(layers)
    groups = layers.tree()
    every = [layer for group in groups for layer in group.layers()]
    found = node("qgis", {"version": QGIS_VERSION, "projectname": titles.title})
    # 1. What it is called, and where.
    found.append(node("title", text=titles.title))
    found.append(node("projectCrs", None, system))
    found.append(node("layer-tree-group", None, *[tree_node(group) for group in groups]))
    found.append(_canvas(bounds, system))
    # 2. What it shows.
    found.append(node("projectlayers", None, *[layer_node(layer, system) for layer in every]))
    order = [node("layer", {"id": layer.id}) for layer in every]
    found.append(node("layerorder", None, *order))
    found.append(_properties())
    found.append(node("visibility-presets", None, *[t.to_node() for t in themes.values()]))
    found.append(_metadata(titles, record))
    # 3. How it is printed, and where the targets are.
    sheet = Sheet(layers, themes, bounds, titles)
    found.append(node("Layouts", None, *all_layouts(sheet)))
    found.append(node("Bookmarks", None, *_bookmarks(contents, system, 40 * cell)))
    view = dict(zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True))
    found.append(node("ProjectViewSettings", None, node("DefaultViewExtent", view, system)))
    return found


def all_layouts(sheet: Sheet) -> list[Element]:
    """Return the layouts for which the run has the layers."""
    layers = sheet.layers
    found = [target_map(sheet)]
    if layers.targets is not None and layers.target_count:
        found.append(target_sheets(sheet, layers.targets))
    if layers.evidence:
        found.append(evidence_panels(sheet))
    if "Geology and samples" in sheet.themes:
        found.append(geology_map(sheet))
    if layers.cells is not None:
        found.append(cell_map(sheet, layers.cells))
    return found


def map_titles(contents: RunContents, record: Mapping[str, Any], crs: CRS) -> Titles:
    """Return the title, the line below it, and the line at the foot of every sheet."""
    # 1. What is mapped.
    area = str(record.get("area") or contents.folder.resolve().parent.name)
    title = str(record.get("title") or f"Mineral prospectivity, {area}")
    # 2. What it was learned from, and by which model.
    found = record.get("commodities") or _commodities(contents)
    kinds = ", ".join(f"{name} {count}" for name, count in found.items())
    parts = [
        f"Known deposits: {kinds}" if kinds else "",
        f"Map of {record['chosen_model']}" if record.get("chosen_model") else "",
        crs.name,
    ]
    subtitle = ";  ".join(part for part in parts if part)
    # 3. What made it.
    version = (record.get("versions") or {}).get("geomfaf", "")
    code = ":".join(crs.to_authority() or ()) or crs.name
    footer = f"project.qgz  |  {code}  |  geomfaf {version}"
    return Titles(title, subtitle, footer)


def _commodities(contents: RunContents) -> dict[str, int]:
    """Return how many deposits there are of each commodity, the commonest first."""
    stored = contents.layer("targets.gpkg", "deposits")
    if stored is None or not stored.count:
        return {}
    frame = contents.frame(stored)
    column = label_column(frame, "commodity")
    return {} if column is None else frame[column].dropna().value_counts().to_dict()


def _canvas(bounds: Bounds, system: Element) -> Element:
    extent = node("extent")
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        extent.append(node(tag, text=value))
    parts = [node("units", text="meters"), extent, node("rotation", text=0)]
    name = {"name": "theMapCanvas", "annotationsVisible": 1}
    return node("mapcanvas", name, *parts, node("destinationsrs", None, system))


def _properties() -> Element:
    """Return what makes the project use its CRS, relative paths, metres and square kilometres."""
    on = node("ProjectionsEnabled", {"type": "int"}, text=1)
    relative = node("Absolute", {"type": "bool"}, text="false")
    distance = node("DistanceUnits", {"type": "QString"}, text="meters")
    area = node("AreaUnits", {"type": "QString"}, text="km2")
    return node(
        "properties",
        None,
        node("SpatialRefSys", None, on),
        node("Paths", None, relative),
        node("Measurement", None, distance, area),
    )


def _metadata(titles: Titles, record: Mapping[str, Any]) -> Element:
    parts = [node("title", text=titles.title)]
    parts.append(node("abstract", text=f"{titles.subtitle}. {CAUTION}"))
    if record.get("author"):
        parts.append(node("author", text=record["author"]))
    return node("projectMetadata", None, *parts)


def _bookmarks(contents: RunContents, system: Element, margin: float) -> list[Element]:
    """Return a bookmark for each target: its bounds and a little ground around."""
    stored = contents.layer("targets.gpkg", "targets")
    if stored is None or not stored.count:
        return []
    return [
        _bookmark(name, bounds, system) for name, bounds in _places(contents.frame(stored), margin)
    ]


def _places(targets: gpd.GeoDataFrame, margin: float) -> Sequence[tuple[str, Bounds]]:
    named = "name" if "name" in targets else "number"
    boxes = targets.geometry.buffer(margin).bounds.itertuples(index=False)
    return [
        (f"Target {name}", (box.minx, box.miny, box.maxx, box.maxy))
        for name, box in zip(targets[named], boxes, strict=True)
    ]


def _bookmark(name: str, bounds: Bounds, system: Element) -> Element:
    west, south, east, north = bounds
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    ring = ", ".join(f"{x:.2f} {y:.2f}" for x, y in corners)
    look = {
        "id": fixed_uuid("bookmark", name).strip("{}"),
        "name": name,
        "group": "Targets",
        "extent": f"POLYGON(({ring}))",
    }
    return node("Bookmark", look, system)
