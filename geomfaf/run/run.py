"""A project goes in; its stages run, those that are remembered are skipped; a folder of results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyogrio

from ..errors import OutputExistsError, UsageError
from ..files import library_versions, write_json
from ..models.baselines import ENSEMBLE, NETWORK
from ..progress import log, log_to, say
from ..survey.formats import is_database
from .folder import KEPT, MARKER, known_files, locked_folder, note_files, require_run_folder
from .memory import Memory
from .project import Project, load_project
from .results import Results
from .stages import STAGES, project_record
from .steps import training_settings

FIXED_DATE = "2000-01-01T00:00:00.000Z"
"""Written into GeoPackages as their last change, so that the same run gives the same bytes."""


def run_project(
    project: Project | str | Path, *, overwrite: bool = False, until: str | None = None
) -> Path:
    """Run every stage, or those ``until`` one, and fill the run folder; return the folder.

    ``project`` is what :func:`geomfaf.load_project` read, or the path of a ``geomfaf.toml``.

    Stages whose inputs and settings did not change are remembered, see
    :mod:`geomfaf.run.memory`; an interrupted stage goes on where it can. A finished run is changed
    only with ``overwrite``.

    Parameters
    ----------
    project : Project or path
        See :func:`geomfaf.load_project`, or the path of a ``geomfaf.toml``.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.
    until : str, optional
        The last stage that is made; all when omitted.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    OutputExistsError
        For a finished run without ``overwrite``, and for a folder that holds other files.
    UsageError
        When an input lies in the run folder, or when another run works there.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> _ = gm.init_project([path], f"{folder}/geomfaf.toml")
    >>> out = gm.run_project(f"{folder}/geomfaf.toml", until="check")
    >>> (out / "check.csv").exists()
    True
    """
    project = project if isinstance(project, Project) else load_project(project)
    out = project.out
    _refuse_impossible(project)
    if (out / "run.json").exists() and not overwrite:
        raise OutputExistsError(
            f"{out} holds a finished run: remove it, change out =, or use --overwrite."
        )
    require_run_folder(out, files_read(project))
    with locked_folder(out), log_to(out / "run.log"):
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_DATE})
        _log_head()
        before = known_files(out)
        if (out / "run.json").exists():
            # Not finished any more; with which settings it was made is still known.
            (out / "run.json").replace(out / KEPT / "run.json")
        memory = Memory(project, STAGES)
        results = Results(project)
        for stage in STAGES:
            memory.run(stage, results)
            if stage.name == until:
                return out
        _remove_stale(out, before - memory.own_files())
        note_files(out, {*memory.own_files(), "run.json", "run.log"})
        write_json(run_record(results, memory), out / "run.json", overwrite=True)
    return out


def files_read(project: Project) -> list[Path]:
    """Return the files and folders that a run reads."""
    found = [] if project.path is None else [project.path]
    found += [Path(s.path) for s in project.sources.values() if not is_database(s.path)]
    for table, name in (("check", "detection_limits"), ("train", "weights"), ("folds", "zones")):
        value = project.stage(table).get(name)
        if isinstance(value, str) and value:
            found.append(project.folder / value)
    return found


def _log_head() -> None:
    """Write the command line and the versions into run.log."""
    log(f"command: {' '.join(sys.argv)}")
    log(f"versions: {', '.join(f'{name} {text}' for name, text in library_versions().items())}")


def _refuse_impossible(project: Project) -> None:
    """Refuse now what would be refused after minutes of gridding, or after hours of training."""
    options, device = training_settings(project)
    if device not in ("auto", "cpu"):
        from ..models.network.devices import choose_device

        choose_device(device)
    if project.model == ENSEMBLE and not options.ensemble:
        raise UsageError(
            f'model = "{ENSEMBLE}" needs simple models to join the network with: name them, such as'
            f' ensemble = ["extra trees"] under [train], or set model = "{NETWORK}".'
        )


def _remove_stale(out: Path, names: set[str]) -> None:
    """Remove files of an earlier run that this one did not make, such as a risk-return map."""
    for name in sorted(names - {MARKER, "run.json", "run.log"}):
        path = out / name
        if path.is_file():
            path.unlink()
            say(f"removed {name}: it belongs to an earlier run")


def run_record(results: Results, memory: Memory) -> dict[str, Any]:
    """Return what run.json says: inputs, settings, grid, folds, versions, cost of each stage."""
    folds = results.folds
    notes = memory.notes
    return {
        **project_record(results),
        "folds": {
            "count": folds.count,
            "block_cells": folds.block,
            "margin_cells": folds.margin,
        },
        "variogram_range_m": results.reach,
        "seconds": {name: note["seconds"] for name, note in notes.items()},
        "peak_mb": {name: note["peak_mb"] for name, note in notes.items()},
        "files": {
            name: digest for note in notes.values() for name, digest in note["files"].items()
        },
    }
