"""The folder of a run goes in; its rasters and GeoPackages get the styles and descriptions with which
they open alone, dragged into QGIS.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, indent

from ...files import finished_file
from .contents import RASTERS, RunContents, StoredBand, read_frame, stored_layers
from .markup import node
from .raster_layers import band_style
from .raster_styles import legend_classes
from .tree import style_text
from .vector_layers import NOTES, stored_style

# QGIS looks for these columns; the schema must be '' and not NULL, or no style is found.
_TABLE = """
CREATE TABLE layer_styles (
 id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
 f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
 styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
 owner TEXT(30), ui TEXT(30),
 update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
"""
_ROW = """
INSERT INTO layer_styles
 (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
  styleSLD, useAsDefault, description, owner, ui, update_time)
VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', '', NULL)
"""


def style_files(contents: RunContents, column: str) -> None:
    """Style the rasters of a run for whoever opens one alone, and the GeoPackages of older runs.

    Every raster gets a ``.qml`` beside it, and one with classes their names as an attribute table.
    ``column`` is that of the classes of the geological map.
    """
    # 1. Rasters.
    for file in RASTERS:
        bands = contents.bands(file)
        if bands:
            _write_style(contents, bands)
            _write_class_names(contents.folder / file, bands)
    # 2. GeoPackages.
    for file in sorted({file for file, _ in contents.layers}):
        path = contents.folder / file
        # A file that has its styles is left as it was written: a run knows its files by their hash.
        if not _has_styles(path):
            with finished_file(path, overwrite=True) as final:
                shutil.copyfile(path, final)
                store_styles(final, column)


def style_raster(path: Path) -> None:
    """Write the style of a raster's first band, and the names of its classes, beside it."""
    contents = RunContents(path.parent)
    bands = contents.bands(path.name)
    _write_style(contents, bands)
    _write_class_names(path, bands)


def _has_styles(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'layer_styles'"
        return bool(database.execute(query).fetchone()[0])


def _write_style(contents: RunContents, bands: list[StoredBand]) -> None:
    """Write the style of a raster's first band beside it: a raster has one default style."""
    path = (contents.folder / bands[0].file).with_suffix(".qml")
    with finished_file(path, overwrite=True) as final:
        text = style_text(band_style(contents, bands[0]), vector=False)
        final.write_text(text, encoding="utf-8")


def _write_class_names(raster: Path, bands: list[StoredBand]) -> None:
    """Write the names of class bands as a raster attribute table, where GDAL keeps them."""
    tables = [band_table(item) for item in bands if item.band.legend]
    if not tables:
        return
    tree = ElementTree(node("PAMDataset", None, *tables))
    indent(tree)
    with finished_file(raster.with_name(f"{raster.name}.aux.xml"), overwrite=True) as final:
        tree.write(final, encoding="unicode")


def band_table(stored: StoredBand) -> Element:
    """Return the attribute table of a class band: class number, name and colour."""
    table = node("GDALRasterAttributeTable", {"tableType": "thematic"})
    # The types and usages are GDAL's: 0 integer, 2 text; 5 class number, 2 name, 6 to 8 colour.
    for number, (name, kind, usage) in enumerate(
        (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    ):
        parts = [node("Name", text=name), node("Type", text=kind), node("Usage", text=usage)]
        table.append(node("FieldDefn", {"index": number}, *parts))
    for number, item in enumerate(legend_classes(stored.band.legend)):
        colour = [int(item.colour[start : start + 2], 16) for start in (1, 3, 5)]
        cells = [node("F", text=value) for value in (int(item.upper), item.label, *colour)]
        table.append(node("Row", {"index": number}, *cells))
    return node("PAMRasterBand", {"band": stored.index}, table)


def store_styles(path: Path, geology_column: str = "") -> None:
    """Put styles into a GeoPackage, each as the default of its layer, and say what the layers are.

    Parameters
    ----------
    path : Path
        Changed in place.
    geology_column : str
        The column of the classes of a layer ``geology``.
    """
    # 1. The styles, while the file is only read.
    layers = stored_layers(path)
    styles = {}
    for layer in layers:
        frame = read_frame(path, layer)
        styles[layer.name] = style_text(stored_style(layer, frame, geology_column), vector=True)
    # 2. Into the file, all or nothing.
    with closing(sqlite3.connect(path)) as database, database:
        _replace_table(database)
        for layer in layers:
            note = NOTES.get(layer.name, "")
            column = _geometry_column(database, layer.name)
            name = f"geomfaf {layer.name}"[:30]
            database.execute(_ROW, (layer.name, column, name, styles[layer.name], note))
            database.execute(
                "UPDATE gpkg_contents SET description = ? WHERE table_name = ?", (note, layer.name)
            )


def _replace_table(database: sqlite3.Connection) -> None:
    database.execute("DROP TABLE IF EXISTS layer_styles")
    database.execute("DELETE FROM gpkg_contents WHERE table_name = 'layer_styles'")
    database.execute(_TABLE)
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change)"
        " SELECT 'layer_styles', 'attributes', 'layer_styles', 'styles for QGIS', min(last_change)"
        " FROM gpkg_contents"
    )


def _geometry_column(database: sqlite3.Connection, layer: str) -> str:
    query = "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?"
    found = database.execute(query, (layer,)).fetchone()
    return found[0] if found else ""
