"""The algorithms of the provider: each hands layers and settings to one command of geomfaf."""

from __future__ import annotations

import html
import json
import os
import platform
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingOutputFile,
    QgsProcessingOutputHtml,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDistance,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProject,
    QgsSettings,
    QgsVectorLayer,
)

from .finding import (
    ENVIRONMENT,
    NotFoundError,
    candidates,
    executable_in,
    find_command,
    require_version,
)
from .install import install_steps, uv_command
from .layers import add_run, layers_of, write_sources
from .process import RunError, run_process

SETTING = "GEOMFAF_COMMAND"
# Layer of check.gpkg -> output and its title.
FINDINGS = {
    "findings": ("FINDINGS", "Findings, points"),
    "findings_lines": ("FINDINGS_LINES", "Findings, lines"),
    "findings_areas": ("FINDINGS_AREAS", "Findings, areas"),
}
PRESETS = ("compact", "mfaf", "paper")
ROLES = (
    ("samples", "Samples with element columns", QgsProcessing.TypeVectorPoint, True),
    ("deposits", "Known deposits", QgsProcessing.TypeVectorPoint, True),
    ("geology", "Geological map", QgsProcessing.TypeVectorPolygon, False),
    ("faults", "Faults", QgsProcessing.TypeVectorLine, False),
    ("study_area", "Study area", QgsProcessing.TypeVectorPolygon, False),
)


def geomfaf_command():
    """Return the command geomfaf of this computer, checked; raises with what to do without one."""
    chosen = os.environ.get(SETTING) or QgsSettings().value(f"Processing/Configuration/{SETTING}")
    folder = QgsProject.instance().homePath()
    places = candidates(
        platform.system(),
        dict(os.environ),
        Path.home(),
        Path(QgsApplication.qgisSettingsDirPath()),
        Path(folder) if folder else None,
    )
    try:
        command = find_command(chosen or "", places)
        require_version(command)
    except NotFoundError as error:
        raise QgsProcessingException(str(error)) from error
    return command


class GeomfafAlgorithm(QgsProcessingAlgorithm):
    """What all algorithms share: their texts are class attributes, their work is ``work``."""

    NAME = ""
    TITLE = ""
    GROUP = "Survey"
    HELP = ""

    def name(self):
        """Return the id, such as geomfaf:check."""
        return self.NAME

    def displayName(self):  # noqa: N802
        """Return what the toolbox shows."""
        return self.TITLE

    def group(self):
        """Return the group in the toolbox."""
        return self.GROUP

    def groupId(self):  # noqa: N802
        """Return the id of the group."""
        return self.GROUP.lower()

    def shortHelpString(self):  # noqa: N802
        """Return the help beside the dialog."""
        return self.HELP

    def createInstance(self):  # noqa: N802
        """Return a new instance; QGIS runs each call in one of its own."""
        return type(self)()

    def add_layers(self, *roles):
        """Declare the layers of a survey, those of some roles or all."""
        for role, title, kind, needed in ROLES:
            if not roles or role in roles:
                self.addParameter(
                    QgsProcessingParameterFeatureSource(
                        role.upper(), title, [kind], optional=not (needed and self.NEEDS_LAYERS)
                    )
                )

    NEEDS_LAYERS = True

    def sources(self, parameters, context):
        """Return the given layers by their roles."""
        found = {}
        for role, *_ in ROLES:
            if self.parameterDefinition(role.upper()) is not None:
                source = self.parameterAsSource(parameters, role.upper(), context)
                if source is not None:
                    found[role] = source
        return found

    def survey_in(self, folder, parameters, context, feedback):
        """Write the given layers into ``survey.gpkg`` of a folder and return it."""
        path = folder / "survey.gpkg"
        write_sources(self.sources(parameters, context), path, context, feedback)
        return path

    def call(self, feedback, folder, *arguments):
        """Run geomfaf with JSON progress; its error is the message of this algorithm."""
        command = [str(geomfaf_command()), "--progress", "json", *map(str, arguments)]
        feedback.pushCommandInfo(" ".join(command))
        try:
            run_process(command, feedback, folder)
        except RunError as error:
            raise QgsProcessingException(str(error)) from error

    def folder_of(self, parameters, name, context):
        """Return the folder of results, made if it is not there."""
        folder = Path(self.parameterAsString(parameters, name, context))
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class CheckSurvey(GeomfafAlgorithm):
    """Check survey."""

    NAME = "check"
    TITLE = "Check survey"
    HELP = (
        "Says what is wrong with the data and what would be done about it: units, detection limits,"
        " repeated places, coordinates, broken geometries. Nothing is changed. The findings come as"
        " layers of points, lines and areas and as check.csv. Refused data end with the reason."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers()
        self.addParameter(QgsProcessingParameterFolderDestination("FOLDER", "Folder of results"))
        for name, title in FINDINGS.values():
            self.addOutput(QgsProcessingOutputVectorLayer(name, title))
        self.addOutput(QgsProcessingOutputFile("TABLE", "Findings as a table"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and check them."""
        folder = self.folder_of(parameters, "FOLDER", context)
        survey = self.survey_in(folder, parameters, context, feedback)
        self.call(feedback, folder, "check", survey, "--out", folder, "--overwrite")
        found = {"FOLDER": str(folder), "TABLE": str(folder / "check.csv")}
        # A survey without a flaw has no layer of findings; points, lines and areas have one each.
        file = folder / "check.gpkg"
        for layer, (name, _) in FINDINGS.items():
            if file.exists() and layer in layers_of(file):
                found[name] = f"{file}|layername={layer}"
        return found


class GridElements(GeomfafAlgorithm):
    """Grid elements."""

    NAME = "grid"
    TITLE = "Grid elements"
    HELP = (
        "Interpolates element columns by inverse distance, one band each, after the checks of"
        ' "Check survey". Cells are square, in metres; without a size, 500 to 1,000 lie along the'
        " longer side."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers("samples")
        field = QgsProcessingParameterField
        self.addParameter(
            field(
                "ELEMENTS",
                "Element columns (all if none is chosen)",
                None,
                "SAMPLES",
                field.Numeric,
                allowMultiple=True,
                optional=True,
            )
        )
        self.addParameter(cell_parameter())
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", "Grid"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the samples and grid them."""
        folder = Path(QgsProcessingUtils.tempFolder())
        survey = self.survey_in(folder, parameters, context, feedback)
        out = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        arguments = ["grid", survey, out, "--layer", "samples", "--scale", "log", "--overwrite"]
        chosen = self.parameterAsFields(parameters, "ELEMENTS", context)
        if chosen:
            arguments += ["--elements", ",".join(chosen)]
        self.call(feedback, folder, *arguments, *cell_arguments(self, parameters, context))
        return {"OUTPUT": out}


class BuildStack(GeomfafAlgorithm):
    """Build stack."""

    NAME = "stack"
    TITLE = "Build stack"
    HELP = (
        "Puts elements, geology and the distance to faults on one grid: the bands from which a map"
        " is learned. Deposits are never a band."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers()
        self.addParameter(cell_parameter())
        self.addParameter(QgsProcessingParameterRasterDestination("OUTPUT", "Stack"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and stack them."""
        folder = Path(QgsProcessingUtils.tempFolder())
        survey = self.survey_in(folder, parameters, context, feedback)
        out = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        cell = cell_arguments(self, parameters, context)
        self.call(feedback, folder, "stack", survey, out, "--overwrite", *cell)
        return {"OUTPUT": out}


def cell_parameter():
    """Return the parameter of the cell size."""
    return QgsProcessingParameterDistance(
        "CELL", "Cell size (m; chosen from the extent if empty)", None, "SAMPLES", True, 0
    )


def cell_arguments(algorithm, parameters, context):
    """Return the argument of the cell size, none where none is given."""
    if parameters.get("CELL") in (None, ""):
        return []
    return ["--cell", f"{algorithm.parameterAsDouble(parameters, 'CELL', context):g}"]


class AddsRun(GeomfafAlgorithm):
    """What ends with the layers of a run in the open project."""

    GROUP = "Map"

    def outputs_of(self, run):
        """Return the outputs of a run and remember it, to be added when all is done."""
        self.finished = run
        return {
            "RUN": str(run),
            "PROJECT": str(run / "project.qgz"),
            "REPORT": str(run / "report.html"),
        }

    def declare_outputs(self):
        """Declare the files of a run."""
        self.addOutput(QgsProcessingOutputFile("PROJECT", "QGIS project"))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def postProcessAlgorithm(self, context, feedback):  # noqa: N802
        """Add the layers; QGIS calls this where layers may be touched."""
        target = context.project()
        if target is not None and getattr(self, "finished", None):
            add_run(self.finished / "project.qgz", target)
        return {}


class RunProject(AddsRun):
    """Run project."""

    NAME = "run"
    TITLE = "Run project"
    NEEDS_LAYERS = False
    HELP = (
        "Everything, from the survey to ranked targets with reasons, a report and print layouts:"
        " some minutes. Choose layers, or a project file (geomfaf.toml) that names its own data; a"
        " project file is written for layers and holds every further setting. Cancel stops the"
        " run; the same run goes on where it stopped. At the end the layers stand in this project"
        " as one group."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.add_layers()
        field = QgsProcessingParameterField
        self.addParameter(
            field(
                "ELEMENTS",
                "Element columns (all if none is chosen)",
                None,
                "SAMPLES",
                field.Numeric,
                allowMultiple=True,
                optional=True,
            )
        )
        self.addParameter(
            QgsProcessingParameterString(
                "WHERE", "Deposits that count, such as commodity = 'Au'", optional=True
            )
        )
        self.addParameter(cell_parameter())
        self.addParameter(
            QgsProcessingParameterEnum("PRESET", "Preset", list(PRESETS), defaultValue=0)
        )
        self.addParameter(
            QgsProcessingParameterFile(
                "TOML", "Project file in place of layers", extension="toml", optional=True
            )
        )
        self.addParameter(QgsProcessingParameterFolderDestination("FOLDER", "Folder of the run"))
        self.declare_outputs()

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Ask for samples and deposits, or for a project file."""
        given = [parameters.get(name) for name in ("SAMPLES", "DEPOSITS")]
        if not parameters.get("TOML") and not all(given):
            return False, "Choose samples and deposits, or a project file (geomfaf.toml)."
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the layers and the project file, and run it."""
        folder = self.folder_of(parameters, "FOLDER", context)
        out = folder / "out"
        toml = self.parameterAsString(parameters, "TOML", context)
        settings = []
        if not toml:
            survey = self.survey_in(folder, parameters, context, feedback)
            toml = str(folder / "geomfaf.toml")
            self.call(feedback, folder, "init", survey, "--toml", toml, "--overwrite")
            settings = self.settings(parameters, context)
        chosen = [part for setting in settings for part in ("--set", setting)]
        self.call(feedback, folder, "run", toml, "--out", out, "--overwrite", *chosen)
        return {"FOLDER": str(folder), **self.outputs_of(out)}

    def settings(self, parameters, context):
        """Return the settings of the dialog as geomfaf reads them: a name and a value of TOML."""
        found = [f"preset={PRESETS[self.parameterAsEnum(parameters, 'PRESET', context)]}"]
        elements = self.parameterAsFields(parameters, "ELEMENTS", context)
        if elements:
            found.append(f"samples.elements={json.dumps(elements, ensure_ascii=False)}")
        where = self.parameterAsString(parameters, "WHERE", context)
        if where:
            found.append(f"deposits.where={json.dumps(where, ensure_ascii=False)}")
        if parameters.get("CELL") not in (None, ""):
            cell = self.parameterAsDouble(parameters, "CELL", context)
            found.append(f"grid.cell={cell:g}")
        return found


def run_parameter():
    """Return the parameter of a finished run."""
    return QgsProcessingParameterFile(
        "RUN", "Folder of a finished run", QgsProcessingParameterFile.Folder
    )


class TargetsAgain(AddsRun):
    """Targets again."""

    NAME = "targets"
    TITLE = "Targets again"
    HELP = (
        "Outlines the targets of a finished run anew, with another share of the area. Nothing is"
        " trained again; targets, report and project are replaced."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        number = QgsProcessingParameterNumber
        self.addParameter(run_parameter())
        self.addParameter(
            number("SHARE", "Share of the area (%)", number.Double, 5, False, 0.01, 50)
        )
        self.addParameter(
            number(
                "DISTANCE",
                "Ground around known deposits (m; from the data if empty)",
                number.Double,
                None,
                True,
                0,
            )
        )
        self.declare_outputs()

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the project of the run's record with other settings of targets."""
        run = Path(self.parameterAsString(parameters, "RUN", context))
        toml = project_file_of(run)
        share = self.parameterAsDouble(parameters, "SHARE", context) / 100
        arguments = ["--set", f"targets.area_share={share:g}"]
        if parameters.get("DISTANCE") not in (None, ""):
            distance = self.parameterAsDouble(parameters, "DISTANCE", context)
            arguments += ["--set", f"targets.known_distance={distance:g}"]
        self.call(feedback, run, "run", toml, "--out", run, "--overwrite", *arguments)
        return self.outputs_of(run)


def project_file_of(run):
    """Return the geomfaf.toml that a finished run was made from, or say that it is gone."""
    try:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QgsProcessingException(
            f"{run} holds no finished run (run.json): choose the folder that a run filled."
        ) from error
    path = Path(str(record.get("project", {}).get("file", "")))
    if path.is_file():
        return path
    beside = run.parent / "geomfaf.toml"
    if beside.is_file():
        return beside
    raise QgsProcessingException(
        f"the project file of this run ({path}) is gone: put it beside the folder {run.name} again."
    )


class ExplainTarget(GeomfafAlgorithm):
    """Explain target."""

    NAME = "explain"
    TITLE = "Explain target"
    GROUP = "Map"
    HELP = (
        "Click on a target: what is known of it, and why it is one. The target under the point is"
        " taken, else the nearest."
    )
    SKIPPED = ("fid",)

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.addParameter(run_parameter())
        self.addParameter(QgsProcessingParameterPoint("POINT", "Point on the target"))
        self.addOutput(QgsProcessingOutputHtml("SHEET", "Sheet"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Find the target and write its sheet."""
        run = Path(self.parameterAsString(parameters, "RUN", context))
        layer = QgsVectorLayer(f"{run / 'targets.gpkg'}|layername=targets", "targets", "ogr")
        if not layer.isValid() or not layer.featureCount():
            raise QgsProcessingException(f"{run} holds no targets: choose the folder of a run.")
        place = self.parameterAsPoint(parameters, "POINT", context, layer.crs())
        point = QgsGeometry.fromPointXY(place)
        features = list(layer.getFeatures(QgsFeatureRequest()))
        target = min(features, key=lambda feature: feature.geometry().distance(point))
        lines = []
        for field in layer.fields():
            value = target[field.name()]
            if (
                field.name() not in self.SKIPPED
                and value not in (None, "")
                and str(value) != "NULL"
            ):
                lines.append((field.alias() or field.name(), shown(value)))
        for name, value in lines:
            feedback.pushInfo(f"{name}: {value}")
        sheet = Path(QgsProcessingUtils.generateTempFilename("target.html"))
        sheet.write_text(sheet_html(lines), encoding="utf-8")
        return {"SHEET": str(sheet)}


def shown(value):
    """Return a value as people read it: numbers to four digits."""
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def sheet_html(lines):
    """Return a page of names and values, everything escaped."""
    rows = "".join(
        f"<tr><th align='left'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in lines
    )
    return f"<!DOCTYPE html><meta charset='utf-8'><title>Target</title><table>{rows}</table>"


class AreaReport(GeomfafAlgorithm):
    """Area report."""

    NAME = "report"
    TITLE = "Area report"
    GROUP = "Map"
    HELP = (
        "Writes the report of a finished run again and opens it in the browser: one file that needs"
        " no network."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.addParameter(run_parameter())
        self.addParameter(
            QgsProcessingParameterBoolean("OPEN", "Open it in the browser", defaultValue=True)
        )
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Write the report."""
        run = Path(self.parameterAsString(parameters, "RUN", context))
        self.wanted = self.parameterAsBool(parameters, "OPEN", context)
        self.report = run / "report.html"
        self.call(feedback, run, "report", run)
        return {"REPORT": str(self.report)}

    def postProcessAlgorithm(self, context, feedback):  # noqa: N802
        """Open the report where there is a window to open it from."""
        from qgis.PyQt.QtCore import QUrl
        from qgis.PyQt.QtGui import QDesktopServices
        from qgis.utils import iface

        if self.wanted and iface is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.report)))
        return {}


class InstallGeomfaf(GeomfafAlgorithm):
    """Install geomfaf."""

    NAME = "install"
    TITLE = "Install geomfaf"
    GROUP = "Setup"
    HELP = (
        "Makes an environment of Python in the profile folder of QGIS and installs geomfaf and"
        " PyTorch for the processor into it, with uv where it is on this computer, else with venv"
        " and pip. It needs the network and some gigabytes. QGIS's own Python is not touched."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs."""
        self.addParameter(
            QgsProcessingParameterBoolean(
                "CONFIRM", "Yes: download geomfaf and PyTorch, and install them", defaultValue=False
            )
        )
        self.addParameter(
            QgsProcessingParameterString(
                "SOURCE", "What to install (or the path of a wheel)", defaultValue="geomfaf"
            )
        )
        self.addOutput(QgsProcessingOutputFile("COMMAND", "The command geomfaf"))

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the steps of the installation."""
        profile = Path(QgsApplication.qgisSettingsDirPath())
        environment = profile / ENVIRONMENT
        source = self.parameterAsString(parameters, "SOURCE", context)
        system = platform.system()
        steps = install_steps(environment, source, uv_command(Path.home()), system)
        for step in steps:
            feedback.pushCommandInfo(" ".join(step))
        if not self.parameterAsBool(parameters, "CONFIRM", context):
            raise QgsProcessingException("nothing was installed: tick the box to agree.")
        for number, step in enumerate(steps):
            feedback.setProgress(100 * number / len(steps))
            try:
                run_process(step, feedback, profile, json_lines=False)
            except (RunError, OSError) as error:
                raise QgsProcessingException(f"the installation failed: {error}") from error
        command = executable_in(environment, system)
        try:
            version = require_version(command)
        except NotFoundError as error:
            raise QgsProcessingException(str(error)) from error
        feedback.pushInfo(f"geomfaf {version} is ready")
        return {"COMMAND": str(command)}


ALGORITHMS = (
    CheckSurvey,
    GridElements,
    BuildStack,
    RunProject,
    TargetsAgain,
    ExplainTarget,
    AreaReport,
    InstallGeomfaf,
)
