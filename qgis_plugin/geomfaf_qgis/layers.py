"""Layers of QGIS go in; one GeoPackage for geomfaf comes out, and a run's project back as a group."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsFeatureRequest,
    QgsLayerDefinition,
    QgsProcessingException,
    QgsProject,
    QgsProviderRegistry,
    QgsReadWriteContext,
    QgsVectorFileWriter,
)
from qgis.PyQt.QtXml import QDomDocument

MARK = "geomfaf_project"
"""Property of a group that says which project it came from."""


def write_sources(sources, path, context, feedback):
    """Write sources into one GeoPackage, each as a layer named by its role.

    Written beside and renamed, so that a cancelled copy is never taken for a survey.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.part.gpkg")
    beside.unlink(missing_ok=True)
    for role, source in sources.items():
        if feedback.isCanceled():
            beside.unlink(missing_ok=True)
            raise QgsProcessingException("cancelled")
        layer = source.materialize(QgsFeatureRequest())
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        options.layerName = role
        if beside.exists():
            options.actionOnExistingFile = QgsVectorFileWriter.CreateOrOverwriteLayer
        written = QgsVectorFileWriter.writeAsVectorFormatV3(
            layer, str(beside), context.transformContext(), options
        )
        if written[0]:
            beside.unlink(missing_ok=True)
            raise QgsProcessingException(f"the layer {role} cannot be written: {written[1]}")
    beside.replace(path)


def layers_of(file):
    """Return the names of a file's layers."""
    return {part.name() for part in QgsProviderRegistry.instance().querySublayers(str(file))}


def add_run(project_file, target):
    """Add the layers of a run's project to an open one, as one styled group; an earlier group of
    the same run is replaced.

    Returns
    -------
    QgsLayerTreeGroup
        The group, collapsed, at the top of the tree.
    """
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
