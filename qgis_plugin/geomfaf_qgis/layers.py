"""Layers of QGIS go in; one GeoPackage for geomfaf comes out, and a run's project back as a group."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from qgis.core import (
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
    QgsLayerDefinition,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingLayerPostProcessorInterface,
    QgsProject,
    QgsProviderRegistry,
    QgsReadWriteContext,
    QgsVectorFileWriter,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QObject, QThread, pyqtSignal
from qgis.PyQt.QtXml import QDomDocument

MARK = "geomfaf_project"
"""Property of a group that says which project it came from."""

FIXED_DATE = "2000-01-01T00:00:00.000Z"
"""Of a GeoPackage's last change: the same layers are the same bytes, and a run remembers them."""


def write_sources(sources, path, context, feedback):
    """Write sources into one GeoPackage, each as a layer named by its role.

    Written beside and renamed, so that a cancelled copy is never taken for a survey.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.part.gpkg")
    beside.unlink(missing_ok=True)
    try:
        for role, source in sources.items():
            _write_source(source, role, beside, context, feedback)
        with closing(sqlite3.connect(str(beside))) as database, database:
            database.execute("UPDATE gpkg_contents SET last_change = ?", (FIXED_DATE,))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_source(source, role, path, context, feedback):
    """Add a layer to a GeoPackage; broken geometries go along, as geomfaf reports them."""
    # Numbers of rows are QGIS's own, by which findings name them; a column of them may be wrong.
    kept = [k for k, field in enumerate(source.fields()) if field.name().lower() != "fid"]
    fields = QgsFields()
    for number in kept:
        fields.append(source.fields().at(number))
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = role
    if path.exists():
        options.actionOnExistingFile = (
            QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        )
    crs = source.sourceCrs()
    kind = source.wkbType()
    writer = QgsVectorFileWriter.create(
        str(path), fields, kind, crs, context.transformContext(), options
    )
    if writer.hasError():
        raise QgsProcessingException(f"{role} cannot be written: {writer.errorMessage()}")
    seen = set()
    unchecked = QgsProcessingFeatureSource.FlagSkipGeometryValidityChecks
    for feature in source.getFeatures(QgsFeatureRequest(), unchecked):
        if feedback.isCanceled():
            raise QgsProcessingException("cancelled: nothing was written")
        number = feature.id()
        # Rows that were not saved yet have numbers below 0.
        row = (
            QgsFeature(fields, number) if number >= 0 and number not in seen else QgsFeature(fields)
        )
        seen.add(number)
        row.setGeometry(feature.geometry())
        row.setAttributes([feature.attributes()[number] for number in kept])
        if not writer.addFeature(row, QgsFeatureSink.Flag.FastInsert):
            raise QgsProcessingException(f"{role} cannot be written: {writer.errorMessage()}")
    # The file is complete when the writer is gone.
    del writer


def layers_of(file):
    """Return the names of a file's layers."""
    return {part.name() for part in QgsProviderRegistry.instance().querySublayers(str(file))}


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Draws a result with the style that geomfaf wrote into it or beside it."""

    def postProcessLayer(self, layer, context, feedback):  # noqa: N802
        """Load the layer's own style."""
        layer.loadDefaultStyle()


_STYLERS = []


def new_styler():
    """Return what draws one result with its own style.

    QGIS deletes it with the context of the run, but does not keep it alive until then.
    """
    _STYLERS[:] = [styler for styler in _STYLERS if not sip.isdeleted(styler)]
    _STYLERS.append(_Styler())
    return _STYLERS[-1]


class RunLoader(QObject):
    """Adds runs to the open project from whichever thread; layers belong to the window's."""

    asked = pyqtSignal(str)

    def __init__(self):
        super().__init__()
        self.moveToThread(QCoreApplication.instance().thread())
        self.asked.connect(self.load)

    def load(self, project_file):
        """Add a run to the open project."""
        add_run(project_file, QgsProject.instance())

    def add(self, project_file, target):
        """Add a run now where this is the window's thread, else as soon as that has time."""
        if QThread.currentThread() == self.thread():
            add_run(project_file, target)
        else:
            self.asked.emit(str(project_file))


def add_run(project_file, target):
    """Add the layers of a run's project to an open one, as one styled group; an earlier group of
    the same run is replaced.

    Returns
    -------
    QgsLayerTreeGroup or None
        The group, at the top of the tree; none where the open project is the run's own.
    """
    project_file = Path(project_file).resolve()
    if target.fileName() and Path(target.fileName()).resolve() == project_file:
        return None
    source = QgsProject()
    if not source.read(str(project_file)):
        raise QgsProcessingException(f"{project_file} cannot be opened: {source.error()}")
    # 1. Layers, styles, notes and groups travel as a layer definition, with absolute paths.
    document = QDomDocument("qgis-layer-definition")
    children = source.layerTreeRoot().children()
    QgsLayerDefinition.exportLayerDefinition(document, children, QgsReadWriteContext())
    # 2. One group a run.
    root = target.layerTreeRoot()
    for group in list(root.findGroups()):
        if group.customProperty(MARK) == str(project_file):
            target.removeMapLayers(group.findLayerIds())
            root.removeChildNode(group)
    group = root.insertGroup(0, source.title() or "geomfaf")
    group.setCustomProperty(MARK, str(project_file))
    QgsLayerDefinition.loadLayerDefinition(document, target, group, QgsReadWriteContext())
    group.setExpanded(True)
    return group
