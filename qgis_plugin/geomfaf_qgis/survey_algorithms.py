"""Looking at a survey: a made-up one to try, what is wrong with one, its elements and bands as grids."""

from __future__ import annotations

import csv
from pathlib import Path

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingUtils,
)

from .algorithm import ROLES, GeomfafAlgorithm
from .layers import layers_of
from .progress import finding_text

# Layer of check.gpkg -> output and its title.
FINDINGS = {
    "findings": ("FINDINGS", "Findings, points"),
    "findings_lines": ("FINDINGS_LINES", "Findings, lines"),
    "findings_areas": ("FINDINGS_AREAS", "Findings, areas"),
}


class DemoSurvey(GeomfafAlgorithm):
    """Demo survey."""

    NAME = "demo"
    TITLE = "Demo survey"
    GROUP = "Data"
    HELP = (
        "Writes a made-up survey whose truth is known, to try everything with: samples with ten"
        " elements, deposits, a geological map and faults of 20 x 20 km. Its layers are added to"
        " this project; nothing is mapped yet."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.addParameter(QgsProcessingParameterFolderDestination("FOLDER", "Folder of the survey"))
        for role, title, *_ in ROLES:
            self.addOutput(QgsProcessingOutputVectorLayer(role.upper(), title))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the survey."""
        folder = self.folder_of(parameters, "FOLDER", context)
        self.call(feedback, folder, "demo", folder, "--no-run")
        survey = folder / "survey.gpkg"
        found = {"FOLDER": str(folder)}
        there = layers_of(survey)
        # What is shown last lies on top: points above areas.
        for role, title, *_ in reversed(ROLES):
            if role in there:
                found[role.upper()] = f"{survey}|layername={role}"
                self.show(context, found[role.upper()], title, role.upper())
        return found


class CheckSurvey(GeomfafAlgorithm):
    """Check survey."""

    NAME = "check"
    TITLE = "Check survey"
    GROUP = "Data"
    HELP = (
        "Says what is wrong with the data and what would be done about it: units, detection limits,"
        " repeated places, coordinates, broken geometries. Your layers are not changed. The findings"
        " are shown on the map and stand in check.csv. Data that cannot be used end with the reason."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers()
        self.addParameter(
            QgsProcessingParameterFolderDestination("FOLDER", "Folder of the findings")
        )
        for name, title in FINDINGS.values():
            self.addOutput(QgsProcessingOutputVectorLayer(name, title))
        self.addOutput(QgsProcessingOutputFile("TABLE", "Findings as a table (CSV)"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and check them."""
        folder = self.folder_of(parameters, "FOLDER", context)
        survey = self.survey_in(folder, parameters, context, feedback)
        table = folder / "check.csv"
        table.unlink(missing_ok=True)
        try:
            self.call(feedback, folder, "check", survey, "--out", folder, "--overwrite")
        finally:
            # Of data that are refused, too.
            if table.exists():
                say_findings(table, feedback)
        found = {"FOLDER": str(folder), "TABLE": str(table)}
        # A survey without a flaw has no layer of findings; points, lines and areas have one each.
        file = folder / "check.gpkg"
        there = layers_of(file) if file.exists() else set()
        for layer, (name, title) in FINDINGS.items():
            if layer in there:
                found[name] = f"{file}|layername={layer}"
                self.show(context, found[name], title, name)
        return found


def say_findings(table, feedback):
    """Write the findings of a check into the log."""
    with open(table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            feedback.pushInfo(finding_text(row))


class RasterAlgorithm(GeomfafAlgorithm):
    """What makes one styled raster of chosen elements of the layers."""

    def add_cells(self, title):
        """Declare elements, cell size and the raster."""
        self.add_elements()
        self.add_number("CELL", "Cell size (m; by the extent, if left out)", minValue=0.01)
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", title))

    def write_raster(self, parameters, context, feedback, command, *words):
        """Write the layers, let a command make the raster of them, and style it."""
        folder = Path(QgsProcessingUtils.generateTempFilename("survey.gpkg")).parent
        survey = self.survey_in(folder, parameters, context, feedback)
        out = self.output_of(parameters, context)
        arguments = [command, survey, out, *words]
        chosen = self.parameterAsFields(parameters, "ELEMENTS", context)
        if chosen:
            arguments += ["--elements", ",".join(chosen)]
        arguments += self.cell_arguments(parameters, context)
        self.call(feedback, folder, *arguments, "--style", "--overwrite")
        self.style(context, out)
        return {"OUTPUT": out}


class GridElements(RasterAlgorithm):
    """Grid elements."""

    NAME = "grid"
    TITLE = "Grid elements"
    GROUP = "Data"
    HELP = (
        "Interpolates element columns by inverse distance, one band each, after the checks of"
        " Check survey. Cells are square, in metres; without a size, 500 to 1,000 lie along"
        " the longer side. Classes are even in the logarithm."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers("samples")
        self.add_cells("Grid")

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the samples and grid them."""
        words = ("--layer", "samples", "--scale", "log")
        return self.write_raster(parameters, context, feedback, "grid", *words)


class BuildStack(RasterAlgorithm):
    """Build stack."""

    NAME = "stack"
    TITLE = "Build stack"
    GROUP = "Data"
    HELP = (
        "Puts elements, geology and the distance to faults on one grid: the bands from which a map"
        " is learned. Deposits are never a band, but a survey is not read without them. Run project"
        " does this by itself."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers()
        self.add_cells("Stack")

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and stack them."""
        return self.write_raster(parameters, context, feedback, "stack")
