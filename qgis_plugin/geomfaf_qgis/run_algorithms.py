"""From layers or a project file to targets, and the same targets by other rules."""

from __future__ import annotations

import json

from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputFolder,
    QgsProcessingOutputHtml,
    QgsProcessingOutputRasterLayer,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExpression,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingUtils,
)

from .algorithm import ROLES, GeomfafAlgorithm
from .layers import RunLoader

PRESETS = ("", "mfaf", "paper")
PRESET_TITLES = (
    "compact, or what the project file says",
    "mfaf: the network alone",
    "paper: as published, hours",
)
LOADER = RunLoader()
"""Made where the plugin is loaded, in the window's thread."""


class AddsRun(GeomfafAlgorithm):
    """What ends with the layers of a run in the open project."""

    GROUP = "Map"
    finished = None

    def declare_outputs(self):
        """Declare what a run leaves, for models and other programs."""
        self.addOutput(QgsProcessingOutputFolder("RUN", "Folder of the finished run"))
        self.addOutput(QgsProcessingOutputVectorLayer("TARGETS", "Targets"))
        self.addOutput(QgsProcessingOutputRasterLayer("SCORES", "Scores"))
        self.addOutput(QgsProcessingOutputFile("PROJECT", "QGIS project"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def outputs_of(self, run):
        """Return the outputs of a run and remember it, to be added when all is done."""
        self.finished = run
        return {
            "RUN": str(run),
            "TARGETS": f"{run / 'targets.gpkg'}|layername=targets",
            "SCORES": str(run / "scores.tif"),
            "PROJECT": str(run / "project.qgz"),
            "REPORT": str(run / "report.html"),
        }

    def postProcessAlgorithm(self, context, feedback):  # noqa: N802
        """Add the layers; in a model this is not the window's thread."""
        if context.project() is not None and self.finished is not None:
            LOADER.add(self.finished / "project.qgz", context.project())
        return {}


class RunProject(AddsRun):
    """Run project."""

    NAME = "run"
    TITLE = "Run project"
    HELP = (
        "Everything, from the survey to ranked targets with reasons, a report and print layouts:"
        " some minutes. Choose samples and deposits, and what else there is, or a project file"
        " (geomfaf.toml) that names its own data. For layers a project file is written, which holds"
        " every further setting: change it, and choose it the next time. At the end the results"
        " stand in this project as one styled group. Cancel stops the run; the same run, started"
        " again, goes on where it stopped."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers(needed=False)
        self.add_elements()
        condition = QgsProcessingParameterExpression(
            "WHERE",
            "Only the deposits for which this holds (all, if left out)",
            parentLayerParameterName="DEPOSITS",
            optional=True,
        )
        condition.setHelp("Columns and values compared: \"commodity\" = 'gold'. No functions.")
        self.addParameter(condition)
        self.add_number("CELL", "Cell size (m; by the extent, if left out)", minValue=0.01)
        preset = QgsProcessingParameterEnum("PRESET", "Preset", list(PRESET_TITLES))
        preset.setDefaultValue(0)
        self.addParameter(preset)
        quick = QgsProcessingParameterBoolean(
            "QUICK", "Quick look: faster, hardly judged; every result says so", False
        )
        self.addParameter(quick)
        self.addParameter(
            QgsProcessingParameterFile(
                "TOML", "Project file (.toml) in place of layers", extension="toml", optional=True
            )
        )
        self.addParameter(QgsProcessingParameterFolderDestination("FOLDER", "Folder of the run"))
        self.declare_outputs()

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Ask for samples and deposits, or for a project file, and not for both."""
        given = [self.is_given(parameters, role.upper()) for role, *_ in ROLES]
        if not self.is_given(parameters, "TOML") and not all(given[:2]):
            return False, "Choose samples and deposits, or a project file (geomfaf.toml)."
        if self.is_given(parameters, "TOML") and any(given):
            return False, ("A project file names its own data: choose it, or layers, but not both.")
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and the project file, and run it."""
        folder = self.folder_of(parameters, "FOLDER", context)
        out = folder / "out"
        if folder.is_relative_to(QgsProcessingUtils.tempFolder()):
            feedback.pushWarning("the folder is a temporary one: it is gone when QGIS is closed")
        settings = self.settings(parameters, context)
        chosen = [part for setting in settings for part in ("--set", setting)]
        toml = self.path_of(parameters, "TOML", context)
        if not self.is_given(parameters, "TOML"):
            survey = self.survey_in(folder, parameters, context, feedback)
            toml = self.project_file(folder, survey, chosen, feedback)
            # They stand in the file now.
            chosen = []
        if self.parameterAsBool(parameters, "QUICK", context):
            chosen.append("--quick")
        self.call(feedback, folder, "run", toml, "--out", out, "--overwrite", *chosen)
        return {"FOLDER": str(folder), **self.outputs_of(out)}

    def project_file(self, folder, survey, chosen, feedback):
        """Write the project file of layers; one that was changed by hand is kept beside it."""
        toml = folder / "geomfaf.toml"
        before = toml.read_bytes() if toml.exists() else None
        self.call(feedback, folder, "init", survey, "--toml", toml, "--overwrite", *chosen)
        if before is not None and before != toml.read_bytes():
            kept = folder / "geomfaf_before.toml"
            kept.write_bytes(before)
            feedback.pushInfo(f"the project file that was there is kept as {kept}")
        return toml

    def settings(self, parameters, context):
        """Return the settings of the dialog as geomfaf reads them: a name and a value of TOML."""
        found = []
        preset = PRESETS[self.parameterAsEnum(parameters, "PRESET", context)]
        if preset:
            found.append(f"preset={preset}")
        elements = self.parameterAsFields(parameters, "ELEMENTS", context)
        if elements:
            found.append(f"samples.elements={json.dumps(elements, ensure_ascii=False)}")
        where = self.parameterAsExpression(parameters, "WHERE", context)
        if where:
            found.append(f"deposits.where={json.dumps(where, ensure_ascii=False)}")
        if self.is_given(parameters, "CELL"):
            cell = self.parameterAsDouble(parameters, "CELL", context)
            found.append(f"grid.cell={cell:g}")
        return found


class TargetsAgain(AddsRun):
    """Targets again."""

    NAME = "targets"
    TITLE = "Targets again"
    HELP = (
        "Outlines the targets of a finished run anew, with another share of the area or another"
        " distance from known deposits. Nothing is trained again: some seconds. Targets, report and"
        " project of the run are replaced, and its group in this project too."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_run()
        limits = {"minValue": 0.01, "maxValue": 50}
        self.add_number("SHARE", "Share of the area (%; as it was, if left out)", **limits)
        title = "Distance from known deposits (m; as it was, if left out)"
        self.add_number("DISTANCE", title, minValue=0)
        self.declare_outputs()

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the run again with other settings of targets; all before them is remembered."""
        run = self.run_of(parameters, context)
        arguments = []
        if self.is_given(parameters, "SHARE"):
            share = self.parameterAsDouble(parameters, "SHARE", context) / 100
            arguments += ["--set", f"targets.area_share={share:g}"]
        if self.is_given(parameters, "DISTANCE"):
            distance = self.parameterAsDouble(parameters, "DISTANCE", context)
            arguments += ["--set", f"targets.known_distance={distance:g}"]
        self.call(feedback, run, "run", run, "--overwrite", *arguments)
        return self.outputs_of(run)
