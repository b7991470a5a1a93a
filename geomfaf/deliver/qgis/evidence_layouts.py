"""A project's layers and themes go in; the layouts of its evidence come out: panels, geology."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from .layout_items import PAGE_GAP, Box, label_item, layout_node, legend_item, scale_bar_item
from .layout_maps import fit_map, map_item, map_uuid
from .markup import without_expressions
from .page import (
    A3,
    LINE,
    MARGIN,
    Sheet,
    footer_item,
    legend_height,
    legend_references,
    map_page,
)
from .tree import Layer, layer_reference

PANELS = 11
"""Bands on a page; one cell more holds the legend that all of them share."""

PANELS_TOP = 20.0
PANELS_HEIGHT = 266.0
STRIP = 32.0
"""Height of a legend below all panels: where there are few, they become larger so."""

LEGEND_WIDTH = 31.0
MOST_COLUMNS = 6


def evidence_panels(sheet: Sheet) -> Element:
    """Return "Evidence A3": a panel for each band with deposits and targets, and one legend for all;
    further pages where they do not fit.
    """
    bands = sheet.layers.evidence
    pages = [bands[start : start + PANELS] for start in range(0, len(bands), PANELS)]
    items: list[Element] = []
    for number, page in enumerate(pages):
        items.extend(_evidence_page(sheet, page, number))
    return layout_node("Evidence A3", A3, items, pages=len(pages))


def _evidence_page(sheet: Sheet, bands: Sequence[Layer], page: int) -> list[Element]:
    # Items of later pages stand below those of the first.
    top = page * (A3[1] + PAGE_GAP)
    number = page + 1
    heading = f"{without_expressions(sheet.titles.title)}: the evidence"
    place = Box(MARGIN, top + 7, 400, 9)
    items = [label_item(place, heading, 14, bold=True, name=f"title {number}")]
    # 1. The bands, lettered through all pages; the legend in a cell of its own or below them all.
    cells = panel_cells(sheet.extent, len(bands) + 1, top + PANELS_TOP, PANELS_HEIGHT)
    legend = cells[len(bands)]
    larger = panel_cells(sheet.extent, len(bands), top + PANELS_TOP, PANELS_HEIGHT - STRIP)
    if _panel_scale(sheet, larger) < _panel_scale(sheet, cells):
        cells = larger
        legend = Box(MARGIN, top + PANELS_TOP + PANELS_HEIGHT - STRIP, A3[0] - 2 * MARGIN, STRIP)
    for place_on_page, layer in enumerate(bands):
        letter = chr(ord("a") + (page * PANELS + place_on_page) % 26)
        items.extend(_panel(sheet, layer, cells[place_on_page], f"{letter}) {layer.name}"))
    # 2. What all panels share.
    items.extend(_shared_legend(sheet, bands[0], cells[0], legend, number))
    items.append(footer_item(sheet.titles, top + 289, f"footer {number}"))
    return items


def _panel_scale(sheet: Sheet, cells: Sequence[Box]) -> float:
    """Return the denominator of the scale of the maps in such cells."""
    return fit_map(sheet.extent, _map_room(cells[0]), round_scale=False).scale


def panel_cells(
    extent: tuple[float, float, float, float], count: int, top: float, total: float
) -> list[Box]:
    """Return the cells of a page from its top left, in so many columns that the maps are largest.

    Parameters
    ----------
    extent : tuple of float
        The ground of each map: W, S, E, N.
    count : int
        How many cells are needed.
    top : float
        Where the first row begins (mm).
    total : float
        Height of all rows (mm).
    """
    best: list[Box] = []
    finest = float("inf")
    for columns in range(1, MOST_COLUMNS + 1):
        rows = -(-count // columns)
        width = (A3[0] - 2 * MARGIN) / columns
        height = total / rows
        # 1. The cells row by row, with a gap between them.
        cells = []
        for number in range(columns * rows):
            x = MARGIN + (number % columns) * width
            y = top + (number // columns) * height
            cells.append(Box(x, y, width - 3, height - 3))
        # 2. How large a map becomes in them.
        room = _map_room(cells[0])
        if min(room.width, room.height) < 10:
            continue
        scale = fit_map(extent, room, round_scale=False).scale
        if scale < finest:
            finest = scale
            best = cells
    return best


def _map_room(cell: Box) -> Box:
    """Return the part of a panel that its map may take: the heading above, the legend beside."""
    return Box(cell.x, cell.y + 6, cell.width - LEGEND_WIDTH, cell.height - 7)


def _panel(
    sheet: Sheet,
    layer: Layer,
    cell: Box,
    heading: str,
) -> list[Element]:
    frame = fit_map(sheet.extent, _map_room(cell), round_scale=False)
    name = f"map of {layer.name}"
    theme = sheet.themes[f"Evidence: {layer.name}"]
    text = without_expressions(heading)
    title = label_item(Box(cell.x, cell.y, cell.width, 5), text, 8, bold=True)
    drawn = map_item(frame, theme, name, with_grid=False)
    # As many classes as the panel is high; a raster's first line names its band and is left out.
    x = frame.box.x + frame.box.width + 2
    beside = Box(x, cell.y + 6, LEGEND_WIDTH - 4, cell.height - 8)
    fitting = int(beside.height / 3.1)
    lines = range(1, 1 + min(layer.legend_length, fitting))
    reference = layer_reference(layer, title="", nodes=lines)
    own = f"legend of {layer.name}"
    legend = legend_item(beside, map_uuid(frame, name), [reference], size=5.5, name=own)
    return [title, drawn, legend]


def _shared_legend(
    sheet: Sheet,
    band: Layer,
    first: Box,
    cell: Box,
    number: int,
) -> list[Element]:
    """Return scale bar and legend of deposits, targets and faults; they read the first panel."""
    frame = fit_map(sheet.extent, _map_room(first), round_scale=False)
    linked = map_uuid(frame, f"map of {band.name}")
    layers = sheet.layers
    shown = legend_references([layers.deposits, layers.targets, layers.faults])
    # 1. In a cell: one below the other; in a strip: side by side.
    bar = Box(cell.x, cell.y + 4, 40, 9)
    place = Box(cell.x, cell.y + 16, 60, 40)
    columns = 1
    if cell.height == STRIP:
        bar = Box(cell.x, cell.y + 4, 60, 9)
        place = Box(cell.x + 80, cell.y + 4, cell.width - 80, STRIP - 6)
        columns = 3
    return [
        scale_bar_item(bar, linked, frame.scale, name=f"scale {number}"),
        legend_item(
            place,
            linked,
            shown,
            size=6.5,
            name=f"shared legend {number}",
            columns=columns,
        ),
    ]


def geology_map(sheet: Sheet) -> Element:
    """Return "Geology and samples A3": rocks, faults, samples and deposits."""
    layers = sheet.layers
    what = ": geology, samples and known deposits"
    page = map_page(sheet, "Geology and samples", what)
    items = page.items
    column = page.aside
    shown = [layers.deposits, layers.targets, layers.faults, layers.study_area, layers.samples]
    references = legend_references(shown)
    if layers.geology is not None:
        # The classes with the most ground, in the order of their names.
        taken = int(legend_height(shown) / LINE) + 3
        fitting = max(4, page.lines - taken)
        chosen = sorted(layers.geology_order[:fitting])
        references.append(layer_reference(layers.geology, nodes=chosen))
        hidden = len(layers.geology_order) - len(chosen)
        if hidden > 0:
            text = f"and {hidden} classes with less ground"
            place = Box(column.x, column.y + column.height + 2, column.width, 4)
            items.append(label_item(place, text, 6, name="classes left out"))
    linked = map_uuid(page.frame, "map")
    many = len(layers.geology_order) > page.lines / page.columns / 2
    items.append(legend_item(column, linked, references, columns=page.columns, split=many))
    return layout_node("Geology and samples A3", page.size, items)
