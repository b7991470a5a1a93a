"""The provider that the Processing toolbox lists, its icon and its one setting."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import SETTING
from .install_algorithm import InstallGeomfaf
from .result_algorithms import AreaReport, ExplainTarget
from .run_algorithms import RunProject, TargetsAgain
from .survey_algorithms import BuildStack, CheckSurvey, DemoSurvey, GridElements

ALGORITHMS = (
    DemoSurvey,
    CheckSurvey,
    GridElements,
    BuildStack,
    RunProject,
    TargetsAgain,
    ExplainTarget,
    AreaReport,
    InstallGeomfaf,
)


class Provider(QgsProcessingProvider):
    """The group "geomfaf" of the toolbox."""

    def id(self):
        """Return the prefix of the algorithms' ids."""
        return "geomfaf"

    def name(self):
        """Return what the toolbox shows."""
        return "geomfaf"

    def icon(self):
        """Return the icon."""
        return QIcon(str(Path(__file__).with_name("icon.svg")))

    def longName(self):  # noqa: N802
        """Return what the provider is, for lists of providers."""
        return "geomfaf: targets from stream sediments, geology and known deposits"

    def supportedOutputRasterLayerExtensions(self):  # noqa: N802
        """Return the formats of rasters that geomfaf writes."""
        return ["tif"]

    def supportsNonFileBasedOutput(self):  # noqa: N802
        """Return that results are files: another program writes them."""
        return False

    def load(self):
        """Add the setting and the algorithms; the setting is Processing's own, if that is there."""
        try:
            from processing.core.ProcessingConfig import ProcessingConfig, Setting
        except ImportError:
            return super().load()
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        text = "Path of the command geomfaf (found by itself if empty)"
        ProcessingConfig.addSetting(Setting(self.name(), SETTING, text, "", valuetype=Setting.FILE))
        ProcessingConfig.readSettings()
        return super().load()

    def unload(self):
        """Take the setting away again."""
        try:
            from processing.core.ProcessingConfig import ProcessingConfig
        except ImportError:
            return
        ProcessingConfig.removeSetting(SETTING)

    def loadAlgorithms(self):  # noqa: N802
        """Add the algorithms."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())


class Plugin:
    """What QGIS loads: it registers the provider, with a window or without one."""

    def __init__(self, iface):
        self.iface = iface
        self.provider = None

    def initProcessing(self):  # noqa: N802
        """Register the provider."""
        self.provider = Provider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):  # noqa: N802
        """Register the provider; there is no other window."""
        self.initProcessing()

    def unload(self):
        """Take the provider away."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
