"""A run.json goes in; the same run is made again elsewhere, and what differs comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DataError, UsageError
from ..files import file_hash, library_versions
from .folder import KEPT, MARKER
from .project import Project, project_from
from .run import run_project
from .stage_settings import inputs_of

DATED = ("report.html", "summary.md")
"""Say when they were made."""


def rerun_project(record: str | Path, out: str | Path | None = None) -> list[str]:
    """Repeat a finished run from its record in another folder; return what differs, a line each.

    Parameters
    ----------
    record : path
        The ``run.json`` of a finished run.
    out : path, optional
        Folder of the repetition; ``NAME_again`` beside the run's folder NAME when omitted.

    Raises
    ------
    UsageError
        For a file that is no record of a run.
    DataError
        For an input that is no longer what it was.
    """
    record = Path(record)
    content = _read_record(record)
    folder = record.resolve().parent
    project = project_from(content["project"]["content"], Path(content["project"]["file"]))
    place = Path(out) if out is not None else folder.with_name(f"{folder.name}_again")
    project = replace(project, out=place)
    _require_same_inputs(project, content["inputs"])
    run_project(project)
    return differences(content, folder, place)


def differences(content: dict[str, Any], folder: Path, again: Path) -> list[str]:
    """Return in what a repetition differs from the run, a line each; versions that differ first."""
    lines = []
    for name, version in library_versions().items():
        before = content.get("versions", {}).get(name)
        if before != version:
            lines.append(f"{name}: {before} then, {version} now")
    for name, digest in content["files"].items():
        if name.startswith(KEPT) or name in (MARKER, *DATED):
            continue
        if not (again / name).is_file():
            lines.append(f"{name}: was not made")
        elif file_hash(again / name) != digest:
            lines.append(f"{name}: differs from {folder / name}")
    return lines


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _require_record(content)
        return content
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} is no record of a finished run: name the run.json of a run folder."
        ) from error


def _require_record(content: dict[str, Any]) -> None:
    """Raise what a lookup raises where the record lacks something that is needed."""
    project = content["project"]
    str.__len__(project["file"])
    for table in (project["content"], content["inputs"], content["files"], content["versions"]):
        table.items()
    for source in content["inputs"].values():
        source.items()


def _require_same_inputs(project: Project, before: dict[str, Any]) -> None:
    """Refuse inputs whose hashes are not those of the record."""
    for role, source in inputs_of(project).items():
        was = before.get(role, {}).get("sha256")
        if source.get("sha256") != was:
            raise DataError(
                f"{role}: {source['path']} is not the file of that run (SHA-256 {was}): put that"
                " one back, or run the project anew."
            )
