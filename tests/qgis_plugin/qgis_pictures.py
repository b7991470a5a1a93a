"""Take the pictures of docs/qgis_plugin.md in a real window of QGIS.

Run: make plugin-pictures DEMO=demo

QGIS runs this with --code. GEOMFAF_DEMO is the folder that `geomfaf demo` filled, GEOMFAF_PICTURES
where the pictures go.
"""

import os
import sys
import time
import traceback
from pathlib import Path

HERE = Path(os.environ["GEOMFAF_PLUGIN"])
sys.path.insert(0, str(HERE))

import processing  # noqa: E402
from geomfaf_qgis.layers import add_run  # noqa: E402
from geomfaf_qgis.provider import Plugin  # noqa: E402
from qgis.core import QgsApplication, QgsProject, QgsVectorLayer  # noqa: E402
from qgis.PyQt.QtWidgets import QDockWidget, QMessageBox, QTreeView  # noqa: E402
from qgis.utils import iface  # noqa: E402

DEMO = Path(os.environ["GEOMFAF_DEMO"]).resolve()
PICTURES = Path(os.environ["GEOMFAF_PICTURES"])
# What stands in each dialog, beside its defaults. The path is nobody's.
RUN = "/home/geologist/demo/out"
FILLED = {
    "demo": {},
    "check": {},
    "grid": {"CELL": 100, "ELEMENTS": ["Au_ppb", "Cu_ppm"]},
    "stack": {},
    "run": {"WHERE": "\"commodity\" IN ('Au', 'Ag')", "QUICK": True},
    "targets": {"RUN": RUN, "SHARE": 2, "DISTANCE": 500},
    "explain": {"RUN": RUN, "POINT": "420000,2412000 [EPSG:32650]"},
    "report": {"RUN": RUN},
    "install": {},
}
HEIGHTS = {"run": 920, "check": 640, "grid": 480, "stack": 740, "explain": 440}


def wait(seconds):
    """Let the window work."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QgsApplication.processEvents()
        time.sleep(0.02)


def save(widget, name):
    """Save a picture of a window."""
    widget.grab().save(str(PICTURES / f"{name}.png"))


def open_toolbox(window):
    """Show the toolbox with geomfaf alone open, wide enough for its names."""
    for dock in window.findChildren(QDockWidget):
        if dock.objectName() == "ProcessingToolbox":
            dock.show()
            dock.raise_()
            window.resizeDocks([dock], [330], 1)
            for tree in dock.findChildren(QTreeView):
                tree.collapseAll()
                expand(tree, "geomfaf")
        elif dock.objectName() not in ("Layers",):
            dock.hide()


def expand(tree, name):
    """Open a branch of the toolbox and all below it, and bring it into sight."""
    model = tree.model()
    for row in range(model.rowCount()):
        index = model.index(row, 0)
        if model.data(index) == name:
            tree.expandRecursively(index)
            tree.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)


def take_window(window):
    """A finished run in the open project, with the toolbox."""
    window.resize(1240, 760)
    group = add_run(DEMO / "out" / "project.qgz", QgsProject.instance())
    for child in group.children():
        child.setExpanded(child.name() in ("Targets", "Prospectivity"))
    open_toolbox(window)
    targets = next(
        layer for layer in QgsProject.instance().mapLayers().values() if layer.name() == "Targets"
    )
    canvas = iface.mapCanvas()
    canvas.setDestinationCrs(targets.crs())
    canvas.setExtent(targets.extent())
    canvas.refresh()
    wait(6)
    canvas.waitWhileRendering()
    wait(1)
    save(window, "qgis_window")


def take_dialogs():
    """Each dialog, with the layers of the demo survey to choose from."""
    QgsProject.instance().clear()
    for role, title in (
        ("samples", "Samples"),
        ("deposits", "Deposits"),
        ("geology", "Geology"),
        ("faults", "Faults"),
    ):
        layer = QgsVectorLayer(f"{DEMO / 'survey.gpkg'}|layername={role}", title, "ogr")
        QgsProject.instance().addMapLayer(layer)
    layers = {layer.name().upper(): layer for layer in QgsProject.instance().mapLayers().values()}
    for name, values in FILLED.items():
        given = dict(values)
        algorithm = QgsApplication.processingRegistry().algorithmById(f"geomfaf:{name}")
        for role, layer in layers.items():
            if algorithm.parameterDefinition(role) is not None:
                given[role] = layer.source()
        dialog = processing.createAlgorithmDialog(f"geomfaf:{name}", given)
        dialog.show()
        dialog.resize(940, HEIGHTS.get(name, 340))
        wait(1)
        save(dialog, f"qgis_dialog_{name}")
        dialog.close()


def main():
    """Take all pictures and close QGIS."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Nobody is there to answer.
    QMessageBox.exec = lambda *_: QMessageBox.StandardButton.Ok
    plugin = Plugin(iface)
    plugin.initGui()
    wait(1)
    try:
        take_window(iface.mainWindow())
        take_dialogs()
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


main()
