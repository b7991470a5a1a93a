"""What all algorithms share: their texts, their layers, and the call of geomfaf."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProject,
    QgsSettings,
)
from qgis.PyQt.QtGui import QIcon

from .finding import NotFoundError, candidates, find_command, require_version
from .layers import new_styler, write_sources
from .process import RunError, run_process

SETTING = "GEOMFAF_COMMAND"
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
    """An algorithm whose texts are class attributes; the work is done by a command of geomfaf."""

    NAME = ""
    TITLE = ""
    GROUP = ""
    HELP = ""
    TAGS = ("geochemistry", "prospectivity", "exploration", "mineral")

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

    def tags(self):
        """Return words under which the toolbox finds it."""
        return list(self.TAGS)

    def icon(self):
        """Return the icon."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def createInstance(self):  # noqa: N802
        """Return a new instance; QGIS runs each call in one of its own."""
        return type(self)()

    def add_layers(self, *roles, needed=True):
        """Declare the layers of a survey, those of some roles or all."""
        for role, title, kind, must in ROLES:
            if not roles or role in roles:
                # QGIS marks as optional what a project file may stand for.
                shown = f"{title} (needed without a project file)" if must > needed else title
                parameter = QgsProcessingParameterFeatureSource(
                    role.upper(), shown, [kind], optional=not (must and needed)
                )
                self.addParameter(parameter)

    def add_elements(self):
        """Declare the choice of element columns among those of the samples."""
        field = QgsProcessingParameterField
        parameter = field(
            "ELEMENTS",
            "Element columns (all that name elements, if none is chosen)",
            None,
            "SAMPLES",
            field.Any,
            allowMultiple=True,
            optional=True,
        )
        # Columns with "<0.05" are texts.
        parameter.setHelp("Columns with detection limits such as <0.05 are texts and count too.")
        self.addParameter(parameter)

    def add_number(self, name, title, **limits):
        """Declare a number that may be left out."""
        number = QgsProcessingParameterNumber
        parameter = number(name, title, number.Double, None, True, **limits)
        parameter.setMetadata({"widget_wrapper": {"decimals": 2}})
        self.addParameter(parameter)

    def add_run(self):
        """Declare the folder of a finished run."""
        parameter = QgsProcessingParameterFile(
            "RUN", "Folder of a finished run", QgsProcessingParameterFile.Folder
        )
        parameter.setHelp('The folder "out" that holds report.html and project.qgz.')
        self.addParameter(parameter)

    def is_given(self, parameters, name):
        """Return whether a parameter that may be left out has a value."""
        return parameters.get(name) not in (None, "")

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

    def cell_arguments(self, parameters, context):
        """Return the argument of the cell size, none where none is given."""
        if not self.is_given(parameters, "CELL"):
            return []
        return ["--cell", f"{self.parameterAsDouble(parameters, 'CELL', context):g}"]

    def path_of(self, parameters, name, context):
        """Return a path in full: geomfaf works in another folder than qgis_process."""
        return Path(self.parameterAsString(parameters, name, context)).absolute()

    def output_of(self, parameters, context):
        """Return where a raster is written, in full."""
        return str(Path(self.parameterAsOutputLayer(parameters, "OUTPUT", context)).absolute())

    def folder_of(self, parameters, name, context):
        """Return the folder of results, made if it is not there."""
        folder = self.path_of(parameters, name, context)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run_of(self, parameters, context):
        """Return the folder of a finished run; a project's folder stands for the run in it.

        Whatever else is refused here: geomfaf would take a folder with a project file for a project
        and map it, which takes minutes.
        """
        folder = self.path_of(parameters, "RUN", context)
        for place in (folder, folder / "out"):
            # A run that was cancelled while it was being changed keeps its record inside.
            if (place / "run.json").exists() or (place / "kept" / "run.json").exists():
                return place
        raise QgsProcessingException(
            f"{folder} holds no finished run (run.json): choose the folder that Run project filled."
        )

    def show(self, context, source, title, output):
        """Have a layer of a result shown with its own style, once all is done."""
        if context.project() is None:
            return
        details = QgsProcessingContext.LayerDetails(title, context.project(), output)
        details.setPostProcessor(new_styler())
        context.addLayerToLoadOnCompletion(source, details)

    def style(self, context, source):
        """Have the result that QGIS shows drawn with the style that lies beside it."""
        if context.willLoadLayerOnCompletion(source):
            context.layerToLoadOnCompletionDetails(source).setPostProcessor(new_styler())
