"""Installing geomfaf into an environment of its own, after asking."""

from __future__ import annotations

import platform
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsProcessingException,
    QgsProcessingOutputFile,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterString,
)

from .algorithm import GeomfafAlgorithm
from .finding import ENVIRONMENT, NotFoundError, executable_in, require_version
from .install import InstallError, install, install_steps, uv_command
from .process import RunError


class InstallGeomfaf(GeomfafAlgorithm):
    """Install geomfaf."""

    NAME = "install"
    TITLE = "Install geomfaf"
    GROUP = "Setup"
    HELP = (
        "Makes an environment of Python in the profile folder of QGIS and installs geomfaf and"
        " PyTorch for the processor into it, with uv where it is on this computer, else with venv"
        " and pip. It needs the network, room on the disk and some minutes: PyTorch is large. QGIS's"
        " own Python is not touched; an environment that this made before is replaced."
    )

    def initAlgorithm(self, config=None):  # noqa: N802
        """Declare inputs and outputs."""
        self.addParameter(
            QgsProcessingParameterBoolean(
                "CONFIRM", "Yes: download geomfaf and PyTorch, and install them", False
            )
        )
        source = QgsProcessingParameterString(
            "SOURCE", "What to install: the path of a wheel (.whl) or of a clone"
        )
        # No default: until geomfaf is in the package index, its name there may be a stranger's.
        source.setHelp("Anything that pip installs, such as the name of a package, counts too.")
        self.addParameter(source)
        self.addOutput(QgsProcessingOutputFile("COMMAND", "The command geomfaf"))

    def checkParameterValues(self, parameters, context):  # noqa: N802
        """Ask first."""
        if not self.parameterAsBool(parameters, "CONFIRM", context):
            return False, "Nothing was installed: tick the box to agree."
        if not self.parameterAsString(parameters, "SOURCE", context).strip():
            return False, "Say what to install: the path of a wheel, or of a clone of geomfaf."
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run the steps of the installation."""
        environment = Path(QgsApplication.qgisSettingsDirPath()) / ENVIRONMENT
        source = self.parameterAsString(parameters, "SOURCE", context)
        system = platform.system()
        try:
            steps = install_steps(environment, source, uv_command(Path.home()), system)
            install(steps, environment, feedback)
            version = require_version(executable_in(environment, system))
        except (InstallError, NotFoundError, RunError) as error:
            raise QgsProcessingException(str(error)) from error
        feedback.pushInfo(f"geomfaf {version} is ready")
        return {"COMMAND": str(executable_in(environment, system))}
