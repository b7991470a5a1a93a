"""A project's layers and themes go in; the layouts of its targets come out: map, sheets, cells."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from .layout_items import (
    Box,
    atlas_node,
    label_item,
    layout_node,
    legend_item,
    north_arrow_item,
    scale_bar_item,
)
from .layout_maps import MapFrame, map_item, map_uuid
from .layout_tables import TableColumn, table_items
from .markup import without_expressions
from .page import (
    A3,
    A4,
    BOTTOM,
    MARGIN,
    Sheet,
    footer_item,
    legend_height,
    legend_references,
    map_page,
    scale_text,
)
from .run_layers import RunLayers
from .sheets import CAUTION, Fact, sheet_facts, table_columns
from .tree import Layer
from .vector_layers import target_name

ROW = 3.5
"""Millimetres of a row of a table of six points."""

FACTS_TOP = 153.0
TABLE_HEIGHT = 31.0


def target_map(sheet: Sheet) -> Element:
    """Return "Target map A3": the map, its legend and the table of the targets."""
    layers = sheet.layers
    # The page lies, so that the table of the targets stands beside the map.
    page = map_page(sheet, "Target map", "", may_stand=False)
    frame = page.frame
    items = page.items
    column = page.aside
    shown = [layers.deposits, layers.targets, layers.faults, layers.study_area]
    shown += [layers.mask, layers.score]
    linked = map_uuid(frame, "map")
    items.append(legend_item(column, linked, legend_references(shown)))
    # The table stands below a wide map, else below the legend.
    top = column.y + legend_height(shown) + 4
    place = Box(column.x, top, column.width, BOTTOM - top)
    below = frame.box.y + frame.box.height + 9
    if below < BOTTOM - 57:
        place = Box(frame.box.x, below, frame.box.width, BOTTOM - below)
    if layers.targets is not None and layers.target_count:
        items.extend(_target_table(layers, layers.targets, place))
    items.append(label_item(Box(MARGIN, 284, 400, 7), CAUTION, 6, name="caution"))
    return layout_node("Target map A3", A3, items)


def _target_table(layers: RunLayers, targets: Layer, box: Box) -> list[Element]:
    """Return the first rows of the targets, and a line that counts those left out."""
    # As many as fit above that line.
    rows = max(1, int((box.height - 10) / ROW))
    columns = table_columns(layers.target_columns, box.width)
    items = table_items(box, targets, columns, rows=rows)
    if layers.target_count > rows:
        text = f"the first {rows} of {layers.target_count} targets; the sheets show all"
        place = Box(box.x, box.y + box.height - 3, box.width, 4)
        items.append(label_item(place, text, 6, name="rows left out"))
    return items


def target_sheets(sheet: Sheet, targets: Layer) -> Element:
    """Return "Target sheets A4": an atlas with a page for each target."""
    columns = sheet.layers.target_columns
    # 1. What it is, and why, in words.
    heading = f'Target [% {target_name(columns)} %]  ([% "status" %])'
    area = without_expressions(sheet.titles.title)
    items = [
        label_item(Box(MARGIN, 9, 190, 10), heading, 18, bold=True, name="heading"),
        label_item(Box(MARGIN, 18, 190, 5), area, 8, name="title"),
    ]
    if "why" in columns:
        why = "[% coalesce(\"why\", '') %]"
        items.append(label_item(Box(MARGIN, 24, 190, 12), why, 9, name="why"))
    # 2. The ground by score and by geology, at the same scale.
    items.extend(_sheet_maps(sheet))
    # 3. The facts on the left; elements, factors and legends on the right.
    items.extend(_fact_items(sheet))
    items.extend(_sheet_tables(sheet.layers.tables))
    items.extend(_sheet_legends(sheet))
    # 4. What it is not.
    items.append(label_item(Box(MARGIN, 276, 190, 10), CAUTION, 6, name="caution"))
    items.append(footer_item(sheet.titles, 287))
    page = "'target_' || lpad(to_string(\"number\"), 2, '0')"
    atlas = atlas_node(targets, page, '"number"')
    return layout_node("Target sheets A4", A4, items, atlas=atlas)


def _sheet_frame(sheet: Sheet, number: int) -> MapFrame:
    """Return the first (0) or second map of a sheet: a square, whose ground the atlas sets."""
    west, south, east, north = sheet.extent
    half = max(east - west, north - south) / 2
    x = (west + east) / 2
    y = (south + north) / 2
    box = Box(18 + number * 93, 46, 89, 89)
    return MapFrame(box, (x - half, y - half, x + half, y + half), 0)


def _sheet_maps(sheet: Sheet) -> list[Element]:
    """Return the two maps of a target's sheet, each with its heading, and the scale below."""
    items: list[Element] = []
    for number, theme in enumerate(("Target map", "Geology and samples")):
        shown = sheet.themes.get(theme)
        if shown is None:
            continue
        frame = _sheet_frame(sheet, number)
        heading = "Prospectivity" if theme == "Target map" else theme
        place = Box(frame.box.x, 39, frame.box.width, 5)
        items.append(label_item(place, heading, 8, bold=True, name=heading))
        # Both show the same ground: one has the coordinates.
        name = f"map {number + 1}"
        items.append(map_item(frame, shown, name, follows_atlas=True, with_grid=number == 0))
    linked = map_uuid(_sheet_frame(sheet, 0), "map 1")
    items.append(scale_bar_item(Box(16, 141, 60, 9), linked))
    items.append(label_item(Box(84, 144, 40, 5), scale_text("map 1"), 8, name="scale"))
    items.append(north_arrow_item(Box(186, 139, 11, 12), linked))
    return items


def _fact_items(sheet: Sheet) -> list[Element]:
    """Return the facts of a sheet, a heading and a value each."""
    items: list[Element] = []
    top = FACTS_TOP
    for fact in sheet_facts(sheet.layers.target_columns):
        items.extend(_fact_item(fact, top))
        top += 4.4 * fact.lines + 1.2
    return items


def _fact_item(fact: Fact, top: float) -> list[Element]:
    height = 4.4 * fact.lines
    text = f"[% {fact.expression} %]"
    place = Box(MARGIN + 28, top, 67, height)
    return [
        label_item(Box(MARGIN, top, 27, height), fact.heading, 8, bold=True),
        label_item(place, text, 8, name=f"value of {fact.heading}"),
    ]


def _sheet_tables(tables: list[Layer]) -> list[Element]:
    """Return the tables of a target's factors and elements: the rows of the page's target alone."""
    items: list[Element] = []
    only = "\"number\" = attribute(@atlas_feature, 'number')"
    for place, layer in enumerate(tables):
        top = FACTS_TOP + TABLE_HEIGHT * place
        # "Factors of this target"
        heading = layer.name.replace("each", "this")
        items.append(label_item(Box(112, top, 88, 4), heading, 8, bold=True))
        box = Box(112, top + 4, 88, TABLE_HEIGHT - 5)
        columns = SHEET_TABLES[layer.name]
        items.extend(table_items(box, layer, columns, rows=6, only=only))
    return items


def _shown_number(column: str, decimals: int) -> str:
    return f"coalesce(to_string(round(\"{column}\", {decimals})), '')"


# "Au_ppb" is a column's name: people say "Au (ppb)".
FACTOR_NAME = "replace(regexp_replace(\"factor\", '_(ppm|ppb|pct)$', ' (\\\\1)'), '_', ' ')"
# A class has no mean: the target's commonest stands there, as far as the column goes.
_CLASS = "attribute(@atlas_feature, 'geology')"
_SHORT_CLASS = f"if(length({_CLASS}) > 16, left({_CLASS}, 15) || '…', {_CLASS})"
_MEAN = 'to_string(round("value", 3))'
FACTOR_VALUE = f"coalesce({_MEAN}, if(\"factor\" = 'geology', {_SHORT_CLASS}, ''), '')"
SHEET_TABLES = {
    "Factors of each target": (
        TableColumn(FACTOR_NAME, "factor", 30),
        TableColumn(FACTOR_VALUE, "value", 23),
        TableColumn(_shown_number("percentile", 0), "percentile", 16),
        TableColumn(_shown_number("contribution", 3), "contribution", 19),
    ),
    "Elements of each target": (
        TableColumn('"element"', "element", 24),
        TableColumn(_shown_number("value", 3), "value", 16),
        TableColumn("replace(\"unit\", '?', '')", "unit", 12),
        TableColumn(_shown_number("percentile", 0), "percentile", 18),
        TableColumn('"sample_id"', "sample", 18),
    ),
}


def _sheet_legends(sheet: Sheet) -> list[Element]:
    """Return the legends of a sheet's two maps: of what the page shows, and nothing else."""
    layers = sheet.layers
    top = FACTS_TOP + TABLE_HEIGHT * len(layers.tables)
    scores = [layers.targets, layers.mask, layers.score]
    ground = [layers.deposits, layers.faults, layers.samples, layers.geology]
    items = []
    for number, shown in enumerate((scores, ground)):
        linked = map_uuid(_sheet_frame(sheet, number), f"map {number + 1}")
        place = Box(112 + 48 * number, top, 44, 56)
        references = legend_references(shown, short=True)
        name = f"legend {number + 1}"
        items.append(
            legend_item(
                place,
                linked,
                references,
                size=5.5,
                name=name,
                only_on_map=True,
            )
        )
    return items


def cell_map(sheet: Sheet, cells: Layer) -> Element:
    """Return "Numbered cells A3": the cells by number, coloured by the target on them."""
    layers = sheet.layers
    page = map_page(sheet, "Numbered cells", ": numbered cells")
    items = page.items
    shown = [layers.deposits, cells, layers.faults, layers.study_area]
    references = legend_references(shown)
    linked = map_uuid(page.frame, "map")
    items.append(legend_item(page.aside, linked, references, columns=page.columns))
    # What the cells are, and that targets go before them.
    place = page.note_place(legend_height(shown))
    items.append(label_item(place, cells.note, 7, name="note"))
    return layout_node("Numbered cells A3", page.size, items)
