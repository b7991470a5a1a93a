"""Open a project in real QGIS, without a screen, and print as JSON what QGIS made of it.

Run: /usr/bin/python3 tests/deliver/qgis_check.py PROJECT.qgz PICTURES [--dpi 40] [--pages 2]
     [--file FILE ...]

Needs the Python of Debian's package python3-qgis, which is not that of the virtual environment. Every
layout, and each ``--file`` as it opens alone, is drawn into the folder PICTURES.
"""

import argparse
import json
import os
import sys
import tempfile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())

from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsFeatureRequest,
    QgsLayerNotesUtils,
    QgsLayoutExporter,
    QgsLayoutItemMap,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage


def colours_of(image, step=3):
    """Return how many different colours an image has, looking at every third pixel."""
    seen = set()
    for row in range(0, image.height(), step):
        for column in range(0, image.width(), step):
            seen.add(image.pixel(column, row))
    return len(seen)


def drawn(layers, crs, extent, path=None):
    """Return the number of colours of a map of some layers."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(240, 240))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    if path:
        job.renderedImage().save(path)
    return colours_of(job.renderedImage())


def described(layer):
    """Return what a person sees of a layer: validity, symbols, notes, aliases, styles."""
    renderer = layer.renderer()
    found = {
        "valid": layer.isValid(),
        "renderer": renderer.type() if renderer else "none",
        "note": QgsLayerNotesUtils.layerNotes(layer),
        "styles": layer.styleManager().styles(),
        "crs": layer.crs().authid(),
    }
    if isinstance(layer, QgsVectorLayer):
        found["features"] = layer.featureCount()
        found["aliases"] = [field.alias() for field in layer.fields() if field.alias()]
        found["tip"] = layer.mapTipTemplate()
        found["display"] = layer.displayExpression()
        found["labels"] = layer.labelsEnabled()
        items = renderer.legendSymbolItems() if renderer else []
        found["legend"] = [item.label() for item in items]
        found["ticked"] = [
            item.label() for item in items if renderer.legendSymbolItemChecked(item.ruleKey())
        ]
    else:
        found["legend"] = [label for label, _ in renderer.legendSymbologyItems()]
        found["bands"] = renderer.usesBands()
    return found


def exported(layout, folder, dpi, pages):
    """Draw a layout, of an atlas the first pages; return its pages and its maps."""
    path = os.path.join(folder, layout.name().replace(" ", "_"))
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = dpi
    maps = [item for item in layout.items() if isinstance(item, QgsLayoutItemMap)]
    atlas = layout.atlas()
    found = {"maps": len(maps), "files": []}
    if atlas.enabled():
        atlas.beginRender()
        found["atlas"] = atlas.count()
        for number in range(min(pages, atlas.count())):
            atlas.seekTo(number)
            file = f"{path}_{number + 1}.png"
            QgsLayoutExporter(layout).exportToImage(file, settings)
            found["files"].append(file)
        atlas.endRender()
    else:
        QgsLayoutExporter(layout).exportToImage(f"{path}.png", settings)
        found["files"] = [f"{path}.png"]
    found["colours"] = [colours_of(QImage(file)) for file in found["files"]]
    found["scales"] = [round(item.scale()) for item in maps]
    return found


def opened_alone(file, folder):
    """Open the layers of a file as dragging it into QGIS does; return what each looks like."""
    found = {}
    for part in QgsProviderRegistry.instance().querySublayers(file):
        if part.name() == "layer_styles":
            continue
        kind = QgsRasterLayer if part.providerKey() == "gdal" else QgsVectorLayer
        layer = kind(part.uri(), part.name(), part.providerKey())
        _, has_style = layer.loadDefaultStyle()
        look = described(layer)
        look["styled"] = has_style
        if layer.isSpatial() and look.get("features", 1):
            name = f"{os.path.basename(file)}_{part.name()}.png".replace("/", "_")
            path = os.path.join(folder, name)
            look["colours"] = drawn([layer], layer.crs(), layer.extent().buffered(100), path)
        found[part.name()] = look
    return found


def class_tables(file):
    """Return the rows of the attribute tables that GDAL finds of a raster, by band."""
    raster = gdal.Open(file)
    found = {}
    for index in range(1, raster.RasterCount + 1):
        table = raster.GetRasterBand(index).GetDefaultRAT()
        if table is not None:
            rows = range(table.GetRowCount())
            found[index] = [[table.GetValueAsInt(k, 0), table.GetValueAsString(k, 1)] for k in rows]
    return found


def main():
    """Print the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("project")
    parser.add_argument("pictures")
    parser.add_argument("--dpi", type=int, default=40)
    parser.add_argument("--pages", type=int, default=2)
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--layouts", default="")
    options = parser.parse_args()
    os.makedirs(options.pictures, exist_ok=True)
    application = QgsApplication([], False)
    application.initQgis()
    log = []
    application.messageLog().messageReceived.connect(
        lambda message, tag, level: log.append(f"{tag}: {message}")
    )
    project = QgsProject.instance()
    found = {"read": project.read(os.path.abspath(options.project))}
    # 1. What the project says of itself.
    found["title"] = project.metadata().title()
    found["abstract"] = project.metadata().abstract()
    found["crs"] = project.crs().authid()
    found["themes"] = project.mapThemeCollection().mapThemes()
    found["bookmarks"] = [mark.name() for mark in project.bookmarkManager().bookmarks()]
    root = project.layerTreeRoot()
    found["groups"] = {
        group.name(): [leaf.name() for leaf in group.findLayers()] for group in root.findGroups()
    }
    # 2. Every layer, drawn alone.
    extent = project.viewSettings().defaultViewExtent()
    found["layers"] = {}
    for leaf in root.findLayers():
        layer = leaf.layer()
        look = described(layer)
        if layer.isSpatial():
            look["colours"] = drawn([layer], project.crs(), extent)
            if look.get("features"):
                layer.getFeatures(QgsFeatureRequest().setLimit(1))
        found["layers"][leaf.name()] = look
    # 3. Every layout.
    found["layouts"] = {}
    for layout in project.layoutManager().printLayouts():
        if options.layouts in layout.name():
            found["layouts"][layout.name()] = exported(
                layout, options.pictures, options.dpi, options.pages
            )
    # 4. Single files.
    found["files"] = {file: opened_alone(file, options.pictures) for file in options.file}
    found["tables"] = {file: class_tables(file) for file in options.file if file.endswith(".tif")}
    found["log"] = sorted(set(log))
    print(json.dumps(found, ensure_ascii=False))
    # QGIS sometimes crashes while it is taken down; what was asked for is there.
    sys.stdout.flush()
    os._exit(0)


main()
