"""The layers and themes of a project go in; its print layouts come out: target map, target sheets,
evidence, geology and samples, numbered cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .layout_items import (
    PAGE_GAP,
    Box,
    MapFrame,
    TableColumn,
    atlas_node,
    fit_map,
    label_item,
    layout_node,
    legend_item,
    map_item,
    map_uuid,
    north_arrow_item,
    scale_bar_item,
    table_items,
)
from .markup import without_expressions
from .run_layers import RunLayers
from .sheets import CAUTION, sheet_facts, table_columns
from .tree import Layer, Theme, layer_reference
from .vector_layers import target_name

A3 = (420.0, 297.0)
A4 = (210.0, 297.0)
MARGIN = 10.0
PANELS = 12
"""Cells of an evidence page, the shared legend's with them."""


class Titles(NamedTuple):
    """What stands above and below every map."""

    title: str
    subtitle: str
    footer: str


class Sheet(NamedTuple):
    """What every layout is made of: layers, themes, the ground (W, S, E, N) and the titles."""

    layers: RunLayers
    themes: Mapping[str, Theme]
    extent: tuple[float, float, float, float]
    titles: Titles


def all_layouts(sheet: Sheet) -> list[Element]:
    """Return the layouts for which the run has the layers."""
    found = [target_map(sheet)]
    if sheet.layers.targets is not None and sheet.layers.target_count:
        found.append(target_sheets(sheet))
    if sheet.layers.evidence:
        found.append(evidence_panels(sheet))
    if "Geology and samples" in sheet.themes:
        found.append(geology_map(sheet))
    if sheet.layers.cells is not None:
        found.append(cell_map(sheet))
    return found


def target_map(sheet: Sheet) -> Element:
    """Return "Target map A3": the map, its legend and the table of the targets."""
    layers = sheet.layers
    frame = fit_map(sheet.extent, Box(17, 24, 272, 254))
    items = _map_page(sheet, frame, "Target map", "")
    column = _column_beside(frame)
    shown = [layers.deposits, layers.targets, layers.faults, layers.study_area]
    references = _references([*shown, layers.mask, layers.score])
    items.append(legend_item(column, map_uuid(frame, "map"), references))
    # The table stands below a wide map, else below the legend.
    lines = _legend_height([*shown, layers.mask, layers.score])
    table = Box(column.x, column.y + lines + 4, column.width, 272 - column.y - lines - 4)
    below = frame.box.y + frame.box.height + 9
    if below < 215:
        table = Box(frame.box.x, below, frame.box.width, 272 - below)
    if layers.targets is not None and layers.target_count:
        items.extend(_target_table(layers, table))
    items.append(label_item(Box(MARGIN, 284, 400, 7), CAUTION, 6, name="caution"))
    return layout_node("Target map A3", A3, items)


def _target_table(layers: RunLayers, box: Box) -> list[Element]:
    """Return the first rows of the targets, and a line that counts those left out."""
    assert layers.targets is not None
    rows = max(1, int((box.height - 10) / 3.5))
    columns = table_columns(layers.target_columns, box.width)
    items = table_items(box, layers.targets, columns, rows=rows)
    if layers.target_count > rows:
        text = f"the first {rows} of {layers.target_count} targets; the sheets show all"
        place = Box(box.x, box.y + box.height - 3, box.width, 4)
        items.append(label_item(place, text, 6, name="rows left out"))
    return items


def target_sheets(sheet: Sheet) -> Element:
    """Return "Target sheets A4": an atlas with a page for each target."""
    layers = sheet.layers
    assert layers.targets is not None
    columns = layers.target_columns
    name = target_name(columns)
    # 1. What it is, and why, in words.
    heading = f'Target [% {name} %]  ([% "status" %])'
    items = [label_item(Box(MARGIN, 9, 190, 10), heading, 18, bold=True, name="heading")]
    area = without_expressions(sheet.titles.title)
    items.append(label_item(Box(MARGIN, 18, 190, 5), area, 8, name="title"))
    if "why" in columns:
        why = "[% coalesce(\"why\", '') %]"
        items.append(label_item(Box(MARGIN, 24, 190, 12), why, 9, name="why"))
    # 2. The ground by score and by geology, at the same scale.
    items.extend(_sheet_maps(sheet))
    # 3. The facts in two columns.
    items.extend(_fact_items(sheet))
    items.extend(_sheet_legends(sheet))
    items.append(label_item(Box(MARGIN, 276, 190, 10), CAUTION, 6, name="caution"))
    footer = footer_text(sheet.titles)
    items.append(label_item(Box(MARGIN, 287, 190, 4), footer, 6, name="footer"))
    page = "'target_' || lpad(to_string(\"number\"), 2, '0')"
    return layout_node(
        "Target sheets A4", A4, items, atlas=atlas_node(layers.targets, page, '"number"')
    )


def _sheet_maps(sheet: Sheet) -> list[Element]:
    """Return the two maps of a target's sheet, each with its heading, and the scale between them."""
    items: list[Element] = []
    for number, (theme, heading) in enumerate(
        (("Target map", "Prospectivity"), ("Geology and samples", "Geology and samples"))
    ):
        box = _sheet_box(number)
        frame = MapFrame(box, _square(sheet.extent), 0)
        name = f"map {number + 1}"
        shown = sheet.themes.get(theme)
        if shown is None:
            continue
        items.append(label_item(Box(box.x, 39, box.width, 5), heading, 8, bold=True, name=heading))
        # Both show the same ground: one has the coordinates.
        items.append(map_item(frame, shown, name, follows_atlas=True, with_grid=number == 0))
    first = MapFrame(_sheet_box(0), sheet.extent, 0)
    linked = map_uuid(first, "map 1")
    scale = scale_text("map 1")
    items.append(scale_bar_item(Box(16, 141, 60, 9), linked))
    items.append(label_item(Box(84, 144, 40, 5), scale, 8, name="scale"))
    items.append(north_arrow_item(Box(186, 139, 11, 12), linked))
    return items


def _sheet_box(number: int) -> Box:
    """Return the place of a sheet's first (0) or second map."""
    return Box(18 + number * 93, 46, 89, 89)


def _square(extent: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = extent
    half = max(east - west, north - south) / 2
    x = (west + east) / 2
    y = (south + north) / 2
    return x - half, y - half, x + half, y + half


def _fact_items(sheet: Sheet) -> list[Element]:
    """Return the facts of a sheet, and the tables of the target's elements and factors."""
    items: list[Element] = []
    y = 153.0
    tables = {layer.name: layer for layer in sheet.layers.tables}
    width = 95.0 if tables else 190.0
    for fact in sheet_facts(sheet.layers.target_columns):
        height = 4.4 * (fact.lines if tables else 1)
        items.append(label_item(Box(MARGIN, y, 27, height), fact.heading, 8, bold=True))
        text = f"[% {fact.expression} %]"
        place = Box(MARGIN + 28, y, width - 28, height)
        items.append(label_item(place, text, 8, name=f"value of {fact.heading}"))
        y += height + 1.2
    # The rows of this page's target alone.
    only = "\"number\" = attribute(@atlas_feature, 'number')"
    y = 153.0
    for name, columns in _SHEET_TABLES.items():
        if name in tables:
            items.append(label_item(Box(112, y, 88, 4), name.replace("each", "this"), 8, bold=True))
            items.extend(
                table_items(Box(112, y + 4, 88, 30), tables[name], columns, rows=6, only=only)
            )
            y += 35
    return items


def _sheet_legends(sheet: Sheet) -> list[Element]:
    """Return the legends of a sheet's two maps: of what the page shows, and nothing else."""
    layers = sheet.layers
    top = 153.0 + 35 * len(layers.tables)
    first = map_uuid(MapFrame(_sheet_box(0), sheet.extent, 0), "map 1")
    second = map_uuid(MapFrame(_sheet_box(1), sheet.extent, 0), "map 2")
    scores = _references([layers.targets, layers.deposits, layers.mask, layers.score])
    ground = _references([layers.faults, layers.samples, layers.geology])
    place = Box(112, top, 44, 40)
    beside = Box(160, top, 40, 40)
    return [
        legend_item(place, first, scores, size=5.5, name="legend of scores", only_on_map=True),
        legend_item(beside, second, ground, size=5.5, name="legend of geology", only_on_map=True),
    ]


_SHEET_TABLES = {
    "Factors of each target": (
        TableColumn('"factor"', "factor", 34),
        TableColumn("coalesce(to_string(round(\"value\", 3)), '')", "value", 16),
        TableColumn("coalesce(format_number(\"percentile\", 0), '')", "percentile", 18),
        TableColumn("coalesce(format_number(\"contribution\", 3), '')", "contribution", 20),
    ),
    "Elements of each target": (
        TableColumn('"element"', "element", 24),
        TableColumn("coalesce(to_string(round(\"value\", 3)), '')", "value", 16),
        TableColumn('"unit"', "unit", 12),
        TableColumn("coalesce(format_number(\"percentile\", 0), '')", "percentile", 18),
        TableColumn('"sample_id"', "sample", 18),
    ),
}


def evidence_panels(sheet: Sheet) -> Element:
    """Return "Evidence A3": a panel for each band with deposits and targets, and one legend for all;
    further pages where they do not fit.
    """
    bands = sheet.layers.evidence
    per_page = PANELS - 1
    pages = [bands[start : start + per_page] for start in range(0, len(bands), per_page)]
    items: list[Element] = []
    for number, page in enumerate(pages):
        items.extend(_evidence_page(sheet, page, number))
    return layout_node("Evidence A3", A3, items, pages=len(pages))


def _evidence_page(sheet: Sheet, bands: Sequence[Layer], page: int) -> list[Element]:
    top = page * (A3[1] + PAGE_GAP)
    heading = without_expressions(sheet.titles.title)
    place = Box(MARGIN, top + 7, 400, 9)
    items = [label_item(place, f"{heading}: the evidence", 14, bold=True, name=f"title {page + 1}")]
    cells = _panel_cells(sheet.extent, len(bands) + 1, top + 20)
    for number, (layer, cell) in enumerate(zip(bands, cells, strict=False)):
        letter = chr(ord("a") + (page * (PANELS - 1) + number) % 26)
        items.extend(_panel(sheet, layer, cell, f"{letter}) {layer.name}"))
    # The last cell holds what all panels share.
    cell = cells[len(bands)]
    frame = fit_map(sheet.extent, _map_room(cells[0]), round_scale=False)
    linked = map_uuid(frame, f"map of {bands[0].name}")
    shared = _references([sheet.layers.deposits, sheet.layers.targets, sheet.layers.faults])
    name = f"shared legend {page + 1}"
    items.append(
        scale_bar_item(
            Box(cell.x, cell.y + 4, 40, 9), linked, frame.scale, name=f"scale {page + 1}"
        )
    )
    items.append(legend_item(Box(cell.x, cell.y + 16, 60, 40), linked, shared, size=6.5, name=name))
    footer = footer_text(sheet.titles)
    items.append(label_item(Box(MARGIN, top + 289, 400, 4), footer, 6, name=f"footer {page + 1}"))
    return items


def _panel_cells(extent: tuple[float, float, float, float], count: int, top: float) -> list[Box]:
    """Return the cells of a page, so many columns that the maps become largest."""
    best: list[Box] = []
    finest = float("inf")
    for columns in range(1, 7):
        rows = -(-count // columns)
        width = (A3[0] - 2 * MARGIN) / columns
        height = (286 - 20) / rows
        cells = [
            Box(
                MARGIN + (k % columns) * width, top + (k // columns) * height, width - 3, height - 3
            )
            for k in range(columns * rows)
        ]
        room = _map_room(cells[0])
        if min(room.width, room.height) < 10:
            continue
        scale = fit_map(extent, room, round_scale=False).scale
        if scale < finest:
            finest = scale
            best = cells
    return best


LEGEND_WIDTH = 31.0


def _map_room(cell: Box) -> Box:
    """Return the part of a panel that its map may take: the heading above, the legend beside."""
    return Box(cell.x, cell.y + 6, cell.width - LEGEND_WIDTH, cell.height - 7)


def _panel(sheet: Sheet, layer: Layer, cell: Box, heading: str) -> list[Element]:
    frame = fit_map(sheet.extent, _map_room(cell), round_scale=False)
    name = f"map of {layer.name}"
    theme = sheet.themes[f"Evidence: {layer.name}"]
    beside = Box(frame.box.x + frame.box.width + 2, cell.y + 6, LEGEND_WIDTH - 4, cell.height - 8)
    # As many classes as the panel is high; a raster's first line names its band and is left out.
    fitting = int(beside.height / 3.1)
    length = layer.legend_length
    reference = layer_reference(layer, title="", nodes=range(1, 1 + min(length, fitting)))
    legend = legend_item(
        beside, map_uuid(frame, name), [reference], size=5.5, name=f"legend of {layer.name}"
    )
    title = label_item(
        Box(cell.x, cell.y, cell.width, 5), without_expressions(heading), 8, bold=True
    )
    return [title, map_item(frame, theme, name, with_grid=False), legend]


def geology_map(sheet: Sheet) -> Element:
    """Return "Geology and samples A3": rocks, faults, samples and deposits."""
    layers = sheet.layers
    frame = fit_map(sheet.extent, Box(17, 24, 272, 254))
    items = _map_page(sheet, frame, "Geology and samples", ": geology, samples and known deposits")
    column = _column_beside(frame)
    others = [layers.deposits, layers.targets, layers.faults, layers.study_area, layers.samples]
    references = _references(others)
    left = 272 - column.y - _legend_height(others) - 12
    if layers.geology is not None:
        # The classes with the most ground, in the order of their names, in two columns.
        fitting = max(4, int(left / 3.6))
        chosen = sorted(layers.geology_order[:fitting])
        references.append(layer_reference(layers.geology, nodes=chosen))
        hidden = len(layers.geology_order) - len(chosen)
        if hidden > 0:
            text = f"and {hidden} classes with less ground"
            items.append(
                label_item(Box(column.x, 274, column.width, 4), text, 6, name="classes left out")
            )
    items.append(legend_item(column, map_uuid(frame, "map"), references))
    return layout_node("Geology and samples A3", A3, items)


def cell_map(sheet: Sheet) -> Element:
    """Return "Numbered cells A3": the cells that most branches vote ore, by number."""
    layers = sheet.layers
    frame = fit_map(sheet.extent, Box(17, 24, 272, 254))
    items = _map_page(sheet, frame, "Numbered cells", ": numbered cells")
    column = _column_beside(frame)
    shown = [layers.deposits, layers.cells, layers.faults, layers.study_area]
    items.append(legend_item(column, map_uuid(frame, "map"), _references(shown)))
    note = layers.cells.note if layers.cells is not None else ""
    y = column.y + _legend_height(shown) + 6
    items.append(label_item(Box(column.x, y, column.width, 30), note, 7, name="note"))
    return layout_node("Numbered cells A3", A3, items)


def _map_page(sheet: Sheet, frame: MapFrame, theme: str, what: str) -> list[Element]:
    """Return what every A3 map has: titles, map, scale, north arrow and footer."""
    titles = sheet.titles
    heading = without_expressions(titles.title) + what
    linked = map_uuid(frame, "map")
    x = frame.box.x + frame.box.width + 9
    scale = scale_text("map")
    return [
        label_item(Box(MARGIN, 6, 400, 9), heading, 16, bold=True, name="title"),
        label_item(
            Box(MARGIN, 15, 400, 5), without_expressions(titles.subtitle), 8, name="subtitle"
        ),
        map_item(frame, sheet.themes[theme], "map"),
        label_item(Box(x, 25, 50, 5), scale, 9, bold=True, name="scale"),
        scale_bar_item(Box(x, 31, 62, 9), linked, frame.scale),
        north_arrow_item(Box(x + 70, 24, 14, 15), linked),
        label_item(Box(MARGIN, 292, 400, 4), footer_text(titles), 6, name="footer"),
    ]


def footer_text(titles: Titles) -> str:
    """Return the line at the foot of a page, with the day on which it is printed."""
    day = "[% format_date(now(), 'yyyy-MM-dd') %]"
    return f"{without_expressions(titles.footer)}  |  printed {day}"


def scale_text(name: str) -> str:
    """Return the text that says a map's scale, rounded as it was chosen."""
    scale = f"map_get(item_variables('{name}'), 'map_scale')"
    return f"1 : [% format_number(100 * round({scale} / 100), 0) %]"


def _column_beside(frame: MapFrame) -> Box:
    """Return the column to the right of a map, below its scale."""
    x = frame.box.x + frame.box.width + 9
    return Box(x, 45, A3[0] - MARGIN - x, 230)


def _references(layers: Sequence[Layer | None]) -> list[Element]:
    """Return the legend's lines of layers; a raster's first line names its band and is left out."""
    found = []
    for layer in layers:
        if layer is not None and layer.geometry:
            found.append(layer_reference(layer))
        elif layer is not None:
            found.append(layer_reference(layer, nodes=range(1, 1 + layer.legend_length)))
    return found


def _legend_height(layers: Sequence[Layer | None]) -> float:
    """Return about how many millimetres a legend of seven points takes."""
    lines = 0.0
    for layer in layers:
        if layer is not None:
            # A layer of one symbol is one line, else its name stands above.
            length = layer.legend_length
            lines += 3.3 if length == 1 else 5.0 + 3.3 * length
    return lines + 3
