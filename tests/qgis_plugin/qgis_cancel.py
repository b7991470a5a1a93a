"""Cancel real geomfaf in the middle of a run in real QGIS, then start the same run again.

Run: GEOMFAF_COMMAND=.venv/bin/geomfaf /usr/bin/python3 tests/qgis_plugin/qgis_cancel.py SURVEY FOLDER

SURVEY is the survey.gpkg of `geomfaf demo`. Says which processes and half-written files the cancel left,
and which stages the second run remembered. Some minutes; no test of the suite.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[2] / "qgis_plugin"), "/usr/share/qgis/python/plugins"]

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

survey, folder = Path(sys.argv[1]), Path(sys.argv[2])
plugin = Plugin(None)
plugin.initProcessing()


class CancelledAt(QgsProcessingFeedback):
    """Cancelled two seconds after a stage begins."""

    def __init__(self, stage=""):
        super().__init__()
        self.stage = stage
        self.since = 0.0

    def setProgressText(self, text):
        """Look for the stage."""
        super().setProgressText(text)
        if self.stage and text.startswith(self.stage) and not self.since:
            self.since = time.monotonic()

    def isCanceled(self):
        """Return whether the time has come."""
        return bool(self.since) and time.monotonic() - self.since > 2


def run(feedback):
    """Run the quick look of the survey into the folder."""
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("geomfaf:run")
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    layers = {
        role.upper(): f"{survey}|layername={role}"
        for role in ("samples", "deposits", "geology", "faults")
    }
    values = {**layers, "CELL": 100, "QUICK": True, "FOLDER": str(folder)}
    began = time.monotonic()
    try:
        algorithm.run(values, context, feedback, {}, False)
        said = "done"
    except QgsProcessingException as error:
        said = str(error)
    print(f"{time.monotonic() - began:.0f} s: {said}")


def running():
    """Return the processes that work in the folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            inside = Path(os.readlink(place / "cwd")).is_relative_to(folder.resolve())
        except OSError:
            continue
        if inside:
            found.append(" ".join(words)[:80])
    return found


for stage in ("train", "evaluate"):
    feedback = CancelledAt(stage)
    run(feedback)
    time.sleep(1)
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = [str(path.relative_to(folder)) for path in files]
    print("running:", running(), "half-written:", [n for n in names if ".part" in n or "/." in n])
    print(
        "remembered:", [w for w in feedback.textLog().splitlines() if w.endswith("nothing changed")]
    )
feedback = CancelledAt()
run(feedback)
print("remembered:", [w for w in feedback.textLog().splitlines() if w.endswith("nothing changed")])
groups = QgsProject.instance().layerTreeRoot().children()
print("groups:", [group.name() for group in groups])
for layer in QgsProject.instance().mapLayers().values():
    assert layer.isValid(), layer.name()
print(len(QgsProject.instance().mapLayers()), "layers, all valid")
sys.stdout.flush()
os._exit(0)
