"""Reading a finished run: the sheet of a target that is clicked on, and the report."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsGeometry,
    QgsProcessingException,
    QgsProcessingOutputHtml,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterPoint,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices

from .algorithm import GeomfafAlgorithm


class ShowsPage(GeomfafAlgorithm):
    """What ends with a page in the browser."""

    GROUP = "Results"
    page = None

    def add_open(self):
        """Declare whether the page is opened."""
        self.addParameter(QgsProcessingParameterBoolean("OPEN", "Open it in the browser", True))

    def postProcessAlgorithm(self, context, feedback):  # noqa: N802
        """Open the page where there is a window to open it from."""
        from qgis.utils import iface

        if self.page is not None and iface is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.page)))
        return {}


class ExplainTarget(ShowsPage):
    """Explain target."""

    NAME = "explain"
    TITLE = "Explain target"
    HELP = (
        "Click on a target, or write its name (T1, K2): its sheet says why it is one, what is known"
        " of it, and what each factor adds to its score. The target under the point is taken, else"
        " the nearest."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_run()
        self.addParameter(
            QgsProcessingParameterPoint("POINT", "Point on the target", optional=True)
        )
        self.addParameter(
            QgsProcessingParameterString("TARGET", "or its name, such as T1", optional=True)
        )
        self.add_open()
        pages = "HTML files (*.html)"
        self.addParameter(
            QgsProcessingParameterFileDestination("SHEET", "Sheet", pages, optional=True)
        )
        self.addOutput(QgsProcessingOutputString("NAME", "Name of the target"))

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Ask for a point or a name."""
        if not self.is_given(parameters, "POINT") and not self.is_given(parameters, "TARGET"):
            return False, "Click on a target, or write its name, such as T1."
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Find the target and have its sheet written."""
        run = self.run_of(parameters, context)
        name = self.parameterAsString(parameters, "TARGET", context).strip()
        if not name:
            name = self.target_at(run, parameters, context, feedback)
        chosen = self.parameterAsFileOutput(parameters, "SHEET", context)
        sheet = Path(chosen or QgsProcessingUtils.generateTempFilename("sheet.html")).absolute()
        words = ["explain", run, name, "--sheet", sheet, "--overwrite"]
        self.call(feedback, sheet.parent, *words)
        if self.parameterAsBool(parameters, "OPEN", context):
            self.page = sheet
        return {"SHEET": str(sheet), "NAME": name}

    def target_at(self, run, parameters, context, feedback):
        """Return the name of the target at a point; how far it is, where none is there."""
        layer = QgsVectorLayer(f"{run / 'targets.gpkg'}|layername=targets", "targets", "ogr")
        if not layer.isValid() or not layer.featureCount():
            raise QgsProcessingException(f"{run} holds no targets: choose the folder of a run.")
        place = self.parameterAsPoint(parameters, "POINT", context, layer.crs())
        point = QgsGeometry.fromPointXY(place)
        features = list(layer.getFeatures())
        target = min(features, key=lambda feature: feature.geometry().distance(point))
        name = str(target["name"])
        away = target.geometry().distance(point)
        if away > 0:
            feedback.pushInfo(f"no target lies there: {name}, {away:,.0f} m away, is the nearest")
        return name


class AreaReport(ShowsPage):
    """Area report."""

    NAME = "report"
    TITLE = "Area report"
    HELP = (
        "Opens the report of a finished run in the browser: targets with reasons, a map, how far to"
        " trust it. It is one file that needs no network and can be sent by mail. It is written anew"
        " where it is missing, or where that is asked for."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_run()
        self.addParameter(QgsProcessingParameterBoolean("AGAIN", "Write it anew", False))
        self.add_open()
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the report where it is needed."""
        run = self.run_of(parameters, context)
        report = run / "report.html"
        if self.parameterAsBool(parameters, "AGAIN", context) or not report.exists():
            self.call(feedback, run, "report", run)
        if self.parameterAsBool(parameters, "OPEN", context):
            self.page = report
        return {"REPORT": str(report)}
