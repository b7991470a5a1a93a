"""Run the plugin's algorithms in real QGIS, without a window, and print as JSON what came of them.

Run: /usr/bin/python3 tests/qgis_plugin/qgis_run.py FOLDER

FOLDER holds ``survey.gpkg`` and ``run``, the folder of a finished run. GEOMFAF_COMMAND names the command.
"""

import json
import os
import sys
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
PLUGIN = Path(__file__).parents[2] / "qgis_plugin"
sys.path[:0] = [str(PLUGIN), "/usr/share/qgis/python/plugins"]

from qgis.core import (  # noqa: E402
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

application = QgsApplication([], False)
application.initQgis()

from geomfaf_qgis.provider import Plugin  # noqa: E402

folder = Path(sys.argv[1])
survey = folder / "survey.gpkg"
plugin = Plugin(None)
plugin.initProcessing()
registry = QgsApplication.processingRegistry()
provider = registry.providerById("geomfaf")
project = QgsProject.instance()
context = None


def run(name, parameters, feedback=None):
    """Run an algorithm as the toolbox does; return its outputs, or its message."""
    global context
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
    declared = {output.name() for output in algorithm.outputDefinitions()}
    undeclared = sorted(set(outputs) - declared)
    return {**outputs, "done": done, "log": feedback.textLog(), "undeclared": undeclared}


def layers(*roles):
    """Return the parameters of a survey's layers."""
    return {role.upper(): f"{survey}|layername={role}" for role in roles}


def described(algorithm):
    """Return what the toolbox, the model designer and batches know of an algorithm."""
    hidden = QgsProcessingAlgorithm.FlagHideFromModeler | QgsProcessingAlgorithm.FlagHideFromToolbox
    return {
        "help": algorithm.shortHelpString(),
        "group": algorithm.group(),
        "inputs": {one.name(): one.description() for one in algorithm.parameterDefinitions()},
        "outputs": [one.name() for one in algorithm.outputDefinitions()],
        "hidden": bool(int(algorithm.flags() & hidden)),
    }


def shown_styled():
    """Return the layers that the last algorithm has shown, with the renderers they get."""
    found = {}
    for source, details in context.layersToLoadOnCompletion().items():
        layer = QgsVectorLayer(source, details.name, "ogr")
        details.postProcessor().postProcessLayer(layer, context, QgsProcessingFeedback())
        found[details.name] = layer.renderer().type()
    return found


found = {"algorithms": {one.id(): described(one) for one in provider.algorithms()}}
every = layers("samples", "deposits", "geology", "faults", "study_area")
out = folder / "it's $(touch gone) 金"
found["demo"] = run("demo", {"FOLDER": str(folder / "demo")})
found["demo_layers"] = shown_styled()
(folder / "demo" / "geomfaf.toml").write_text("")
found["check"] = run("check", {**every, "FOLDER": str(out)})
found["check_layers"] = shown_styled()
first = (out / "survey.gpkg").read_bytes()
run("check", {**every, "FOLDER": str(out)})
found["same_survey"] = (out / "survey.gpkg").read_bytes() == first
found["grid"] = run(
    "grid", {**layers("samples"), "ELEMENTS": ["Au"], "CELL": 50, "OUTPUT": str(out / "grid.tif")}
)
# As the dialog asks for a raster that is to be shown.
place = QgsProcessingOutputLayerDefinition(str(out / "stack.tif"), project)
found["stack"] = run("stack", {**every, "OUTPUT": place})
plain = QgsRasterLayer.LayerOptions(False)  # Processing loads results without their styles
raster = QgsRasterLayer(str(out / "stack.tif"), "stack", "gdal", plain)
found["stack_before"] = raster.renderer().type()
details = context.layerToLoadOnCompletionDetails(str(out / "stack.tif"))
details.postProcessor().postProcessLayer(raster, context, QgsProcessingFeedback())
found["stack_shown"] = raster.renderer().type()

# A bow tie, a row without a place, numbers of rows that are there twice.
broken = QgsVectorLayer("Polygon?crs=EPSG:32633&field=fid:integer&field=rock:string", "b", "memory")
for number, text in enumerate(
    ("POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))", "", "POLYGON((0 0, 1 0, 1 1, 0 0))")
):
    feature = QgsFeature(broken.fields())
    feature.setAttributes([1, f"rock {number}"])
    feature.setGeometry(QgsGeometry.fromWkt(text))
    broken.dataProvider().addFeature(feature)
project.addMapLayer(broken, False)
asked = {**layers("samples", "deposits"), "GEOLOGY": broken.id(), "FOLDER": str(folder / "broken")}
found["broken"] = run("check", asked)

# A project file in place of layers, with a setting of the dialog.
toml = folder / "own.toml"
toml.write_text("")
found["nothing"] = run("run", {"FOLDER": str(out)})
found["both"] = run("run", {**every, "TOML": str(toml), "FOLDER": str(out)})
found["toml"] = run(
    "run", {"TOML": str(toml), "CELL": 70, "QUICK": True, "FOLDER": str(folder / "by file")}
)
project.clear()
where = "name = 'O''Brien \"x\" $(touch gone)'"
asked = {**every, "WHERE": where, "ELEMENTS": ["Au"], "PRESET": 1, "CELL": 50, "FOLDER": str(out)}
# Three times: a later run's layers replace the first one's; a file changed by hand is kept.
found["run"] = [run("run", asked), run("run", asked)]
(out / "geomfaf.toml").write_text("# by hand\n")
found["run"].append(run("run", asked))
root = project.layerTreeRoot()
found["groups"] = [group.name() for group in root.children()]
found["layers"] = {
    layer.name(): [layer.isValid(), layer.renderer().type() if layer.renderer() else "none"]
    for layer in project.mapLayers().values()
}
made = out / "out"
found["targets"] = run("targets", {"RUN": str(made), "SHARE": 3, "DISTANCE": 700})
found["targets_as_they_were"] = run("targets", {"RUN": str(out)})
found["explain"] = run("explain", {"RUN": str(made), "POINT": "501000,5996000 [EPSG:32633]"})
found["far"] = run("explain", {"RUN": str(made), "POINT": "400000,5996000 [EPSG:32633]"})
found["named"] = run("explain", {"RUN": str(made), "TARGET": "T2", "SHEET": str(out / "T2.html")})
found["unnamed"] = run("explain", {"RUN": str(made)})
found["report"] = run("report", {"RUN": str(made), "OPEN": False})
found["report_again"] = run("report", {"RUN": str(made), "AGAIN": True})
found["install"] = run("install", {"CONFIRM": False, "SOURCE": "geomfaf"})
found["install_nothing"] = run("install", {"CONFIRM": True, "SOURCE": " "})
found["lost"] = run("explain", {"RUN": str(folder), "POINT": "0,0 [EPSG:32633]"})
# Paths of qgis_process may be relative; geomfaf works in another folder.
os.chdir(folder)
named = {"SAMPLES": "survey.gpkg|layername=samples", "OUTPUT": "beside/grid.tif"}
(folder / "beside").mkdir()
found["relative"] = [
    run("grid", named),
    run("run", {"TOML": "own.toml", "FOLDER": "beside"}),
    run("explain", {"RUN": "beside", "TARGET": "T1", "SHEET": "beside/T1.html"}),
]
# A folder with a project file and no run must not be mapped.
found["no_run"] = run("targets", {"RUN": str(folder / "demo"), "SHARE": 3})

# The run's own project is open: its layers are there already.
project.read(str(made / "project.qgz"))
before = len(project.mapLayers())
run("targets", {"RUN": str(made), "SHARE": 3})
found["in_its_own_project"] = [before, len(project.mapLayers())]
project.clear()


def model():
    """Return a model that runs a project, outlines targets again and opens the report of that."""
    source = QgsProcessingModelChildParameterSource
    made = QgsProcessingModelAlgorithm("chain", "chain")
    steps = {}
    for name, values in (
        ("run", {"TOML": str(toml), "FOLDER": str(folder / "model")}),
        ("targets", {"SHARE": 2}),
        ("report", {"OPEN": False}),
    ):
        child = QgsProcessingModelChildAlgorithm(f"geomfaf:{name}")
        for key, value in values.items():
            child.addParameterSources(key, [source.fromStaticValue(value)])
        if name != "run":
            child.addParameterSources("RUN", [source.fromChildOutput(steps["last"], "RUN")])
        steps["last"] = made.addChildAlgorithm(child)
    return made


# As the window does: a model works in a thread of its own, layers are added in the window's.
chain = model()
problems = []
results = []


def run_model():
    """Run the model with a context of this thread's own."""
    inside = QgsProcessingContext()
    inside.setProject(project)
    try:
        results.append(chain.run({}, inside, QgsProcessingFeedback(), {}, False)[1])
    except QgsProcessingException as error:
        problems.append(str(error))


thread = threading.Thread(target=run_model)
thread.start()
while thread.is_alive():
    thread.join(0.05)
    application.processEvents()
application.processEvents()
found["model"] = {
    "problems": problems,
    "done": results,
    "groups": [group.name() for group in project.layerTreeRoot().children()],
    "valid": chain.validate()[0] if hasattr(chain, "validate") else True,
}
cancelled = QgsProcessingFeedback()
cancelled.cancel()
found["cancelled"] = run("check", {**every, "FOLDER": str(folder / "cancelled")}, cancelled)
os.environ["FAKE_ERROR"] = "the layer samples has no element column: name one."
found["failing"] = run("check", {**every, "FOLDER": str(folder / "failing")})
print(json.dumps(found, ensure_ascii=False, default=str))
sys.stdout.flush()
os._exit(0)
