"""Run the plugin's algorithms in real QGIS, without a window, and print as JSON what came of them.

Run: /usr/bin/python3 tests/qgis_plugin/qgis_run.py FOLDER

FOLDER holds ``survey.gpkg`` and ``run``, the folder of a finished run. GEOMFAF_COMMAND names the command.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
PLUGIN = Path(__file__).parents[2] / "qgis_plugin"
sys.path[:0] = [str(PLUGIN), "/usr/share/qgis/python/plugins"]

from qgis.core import (  # noqa: E402
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)

application = QgsApplication([], False)
application.initQgis()

from geomfaf_qgis.provider import Plugin  # noqa: E402

folder = Path(sys.argv[1])
survey = folder / "survey.gpkg"
plugin = Plugin(None)
plugin.initProcessing()
registry = QgsApplication.processingRegistry()
project = QgsProject.instance()


def run(name, parameters, feedback=None):
    """Run an algorithm as the toolbox does; return its outputs, or its message."""
    algorithm = registry.createAlgorithmById(f"geomfaf:{name}")
    context = QgsProcessingContext()
    context.setProject(project)
    feedback = feedback or QgsProcessingFeedback()
    sound, message = algorithm.checkParameterValues(parameters, context)
    if not sound:
        return {"refused": message}
    try:
        outputs, done = algorithm.run(parameters, context, feedback, {}, False)
    except QgsProcessingException as error:
        return {"error": str(error)}
    return {**outputs, "done": done, "log": feedback.textLog()}


def layers(*roles):
    """Return the parameters of a survey's layers."""
    return {role.upper(): f"{survey}|layername={role}" for role in roles}


found = {"algorithms": sorted(a.id() for a in registry.providerById("geomfaf").algorithms())}
found["help"] = {
    a.id(): bool(a.shortHelpString()) for a in registry.providerById("geomfaf").algorithms()
}
every = layers("samples", "deposits", "geology", "faults", "study_area")
out = folder / "it's $(touch gone) 金"
found["check"] = run("check", {**every, "FOLDER": str(out)})
found["grid"] = run(
    "grid", {**layers("samples"), "ELEMENTS": ["Au"], "CELL": 50, "OUTPUT": str(out / "grid.tif")}
)
found["stack"] = run("stack", {**every, "OUTPUT": str(out / "stack.tif")})
found["nothing"] = run("run", {"FOLDER": str(out)})
where = "name = 'O''Brien \"x\" $(touch gone)'"
asked = {**every, "WHERE": where, "ELEMENTS": ["Au"], "PRESET": 1, "CELL": 50, "FOLDER": str(out)}
# Twice: the second run's layers replace the first one's.
found["run"] = [run("run", asked), run("run", asked)]
root = project.layerTreeRoot()
found["groups"] = [group.name() for group in root.children()]
found["layers"] = {
    layer.name(): [layer.isValid(), layer.renderer().type() if layer.renderer() else "none"]
    for layer in project.mapLayers().values()
}
made = str(out / "out")
found["targets"] = run("targets", {"RUN": made, "SHARE": 3, "DISTANCE": 700})
found["explain"] = run("explain", {"RUN": made, "POINT": "501000,5996000 [EPSG:32633]"})
found["report"] = run("report", {"RUN": made, "OPEN": False})
found["install"] = run("install", {"CONFIRM": False, "SOURCE": "geomfaf"})
found["lost"] = run("explain", {"RUN": str(folder), "POINT": "0,0 [EPSG:32633]"})
cancelled = QgsProcessingFeedback()
cancelled.cancel()
found["cancelled"] = run("check", {**every, "FOLDER": str(folder / "cancelled")}, cancelled)
os.environ["FAKE_ERROR"] = "the layer samples has no element column: name one."
found["failing"] = run("check", {**every, "FOLDER": str(folder / "failing")})
print(json.dumps(found, ensure_ascii=False, default=str))
sys.stdout.flush()
os._exit(0)
