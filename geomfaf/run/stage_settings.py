"""A project goes in; everything of it that decides the files of a stage comes out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..files import file_hash
from ..models.network.options import Training
from ..survey.formats import hidden_password, is_database
from .project import Project
from .steps import training_settings


def inputs_of(project: Project) -> dict[str, dict[str, Any]]:
    """Return where each layer comes from, with the hash of its file or of its folder's files.

    A database has its address, without the password.
    """
    found = {}
    for role, source in project.sources.items():
        said = {key: value for key, value in asdict(source).items() if value}
        if is_database(source.path):
            found[role] = {**said, "path": hidden_password(str(source.path))}
        else:
            found[role] = {
                **said,
                "path": str(source.path),
                "sha256": content_hash(source.path),
            }
    return found


def own_inputs(project: Project) -> dict[str, dict[str, Any]]:
    """Return the rasters and other layers of the user's own, with the hashes of their files."""
    found = {}
    dem = project.stage("catchments").get("dem")
    if dem:
        found["catchments: dem"] = {"path": dem, "sha256": content_hash(dem)}
    for kind in ("rasters", "proximity"):
        for table in project.repeated(kind):
            found[f"{kind}: {table['name']}"] = {**table, "sha256": content_hash(table["path"])}
    return found


def content_hash(path: str | Path) -> str:
    """Return the hash of a file, or of the files of a folder."""
    path = Path(path)
    if not path.exists():
        return "missing"
    if not path.is_dir():
        return file_hash(path)
    hashes = [file_hash(file) for file in sorted(path.iterdir()) if file.is_file()]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def check_settings(project: Project) -> Any:
    """Return what decides the checked survey; that of a database is read again each time."""
    inputs = inputs_of(project)
    for source in inputs.values():
        source["path"] = source["path"] if "sha256" not in source else ""
    now = time.time() if any("sha256" not in source for source in inputs.values()) else 0
    settings = project.stage("check")
    limits = settings.get("detection_limits")
    of_limits = content_hash(limits) if isinstance(limits, str) else ""
    columns = [project.elements, project.units, project.geology_column, project.crs]
    return [inputs, now, settings, of_limits, columns]


def _evidence_settings(project: Project, *tables: str) -> Any:
    """Return what decides bands and windows: grid, log-ratios, and some tables more."""
    names = ("grid", "rasterize", *tables)
    settings = {name: project.stage(name) for name in names}
    zones = project.stage("folds").get("zones")
    composition = project.stages.get("composition")
    of_zones = content_hash(project.folder / zones) if zones else ""
    own = _own_layers(project)
    return [settings, own, composition, of_zones, project.preset, project.seed]


def _own_layers(project: Project) -> Any:
    """Return what decides the bands of the user's own: their tables and their files' hashes."""
    dem = project.stage("catchments")
    found: list[Any] = [project.stage("structure"), dem]
    if dem.get("dem"):
        found.append(content_hash(dem["dem"]))
    for name in ("rasters", "proximity"):
        for table in project.repeated(name):
            found.append([name, table, content_hash(table.get("path", ""))])
    return found


def fold_settings(project: Project) -> Any:
    """Return what decides windows and folds."""
    return _evidence_settings(project, "windows", "folds")


def stack_settings(project: Project) -> Any:
    """Return what decides the bands and the draws of barren windows."""
    return [_evidence_settings(project, "windows"), project.stage("evaluate", "draws")]


def screen_settings(project: Project) -> Any:
    """Return what decides which elements are kept."""
    return [project.stages.get("composition"), project.stage("screen"), project.seed]


def train_settings(project: Project) -> Any:
    """Return the options with the hash of the weights, wherever these lie."""
    options, device = training_settings(project)
    return [asdict(replace(with_pinned_weights(options), weights="")), device, project.seed]


def with_pinned_weights(options: Training) -> Training:
    """Return the options with the hash of their starting weights."""
    if not options.weights:
        return options
    # torch takes seconds to load.
    from ..models.network.starting_weights import pinned

    return pinned(options)


def evaluate_settings(project: Project) -> Any:
    """Return what decides the figures of the map and whose map it is."""
    stride = project.stage("predict").get("stride")
    return [project.stage("evaluate"), stride, project.model, project.preset, project.quick]


def judge_settings(project: Project) -> Any:
    """Return what decides how the models of a map are asked again."""
    return project.stage("predict").get("stride")


def no_settings(project: Project) -> None:
    """Return nothing: the stage has no settings of its own."""


def shown_settings(project: Project) -> Any:
    """Return all settings: the report shows them."""
    named = [project.content.get(key) for key in ("area", "author")]
    return [project.stages, project.preset, project.model, project.seed, project.quick, named]


def of_table(name: str) -> Callable[[Project], Any]:
    """Return what takes a project and gives the settings of one table."""
    return lambda project: project.stage(name)
