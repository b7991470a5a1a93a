"""A project goes in; what a run of it would do, with what and for how long, comes out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psutil

from ..files import plain_values
from ..settings.setting import Setting, Table, shown_value
from ..settings.tables import TABLES
from .folder import KEPT, size_of
from .memory import Memory
from .project import ROLES, Project
from .results import Results
from .stages import STAGES
from .steps import training_settings
from .usual_times import usual_seconds

BYTES_A_CELL = 4
"""float32."""


def resolved_settings(project: Project) -> list[tuple[str, str, str]]:
    """Return name, value and origin of every setting.

    The origin is ``--set``, the name of the project file, ``preset NAME``, ``quick`` or ``default``.
    """
    rows = []
    for table in TABLES.values():
        absent = table.name not in project.content
        if table.repeated or (absent and (table.optional or table.name in ROLES)):
            continue
        rows += [_resolved(table, setting, project) for setting in table.settings]
    return rows


def _resolved(table: Table, setting: Setting, project: Project) -> tuple[str, str, str]:
    """Return name, value and origin of one setting."""
    said = project.content.get(table.name, {}) if table.name else project.content
    full = f"{table.name}.{setting.name}".strip(".")
    # A quick look decides some settings, whatever the file says.
    used = project.stages.get(table.name, {}) if table.name in ("predict", "evaluate") else {}
    if project.quick and setting.name in used and used[setting.name] != said.get(setting.name):
        return full, shown_value(used[setting.name]), "quick"
    if setting.name in said:
        file = project.path.name if project.path else "given"
        origin = "--set" if full in project.changed else file
        return full, shown_value(said[setting.name]), origin
    value = setting.default
    origin = "default"
    if table.name == "train" and project.preset != TABLES[""]["preset"].default:
        value = getattr(training_settings(project)[0], setting.name, value)
        origin = f"preset {project.preset}"
    shown = setting.left_out if value in (None, "") else shown_value(value)
    return full, shown, origin


def plan_run(project: Project) -> dict[str, Any]:
    """Return what a run would do: settings, grid, stages with reason and time, memory and disk.

    Nothing is written. The survey is read and checked, because the grid depends on it.
    """
    memory = Memory(project, STAGES)
    results = Results(project)
    grid = results.grid
    cells = grid.height * grid.width
    stages = []
    minutes = 0.0
    for stage in STAGES:
        why = memory.why_made(stage)
        note = memory.read_note(stage)
        seconds = note["seconds"] if note else usual_seconds(stage.name, cells)
        if not why:
            memory.notes[stage.name] = note or {}
            seconds = 0.0
        minutes += seconds / 60
        stages.append(
            {
                "stage": stage.name,
                "why": why,
                "seconds": round(seconds, 1),
            }
        )
    bands = len(results.survey.elements) + 2
    kept = project.out / KEPT
    return {
        "settings": [
            {
                "setting": name,
                "value": value,
                "from": origin,
            }
            for name, value, origin in resolved_settings(project)
        ],
        "grid": {
            "cell": grid.cell,
            "shape": grid.shape,
            "bounds": plain_values(grid.bounds),
            "crs": grid.crs.to_string(),
        },
        "folds": _folds_text(memory, results),
        "stages": stages,
        "minutes": round(minutes, 1),
        "memory_gb": round(3 * bands * cells * BYTES_A_CELL / 1e9 + 1.5, 1),
        "memory_free_gb": round(psutil.virtual_memory().available / 1e9, 1),
        "disk_gb": round(4 * bands * cells * BYTES_A_CELL / 1e9, 2),
        "disk_free_gb": round(shutil.disk_usage(_existing(project.out)).free / 1e9, 1),
        "kept_mb": round(size_of(kept) / 1e6, 1) if kept.exists() else 0.0,
    }


def _folds_text(memory: Memory, results: Results) -> str:
    """Return the folds in words, where they are remembered."""
    if "folds" not in memory.notes:
        return "cut anew"
    folds = results.folds
    return f"{folds.count} folds of blocks of {folds.block} cells, margin {folds.margin} cells"


def _existing(path: Path) -> Path:
    """Return the nearest folder above that is there."""
    place = path.resolve()
    while not place.exists():
        place = place.parent
    return place


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Return a plan in lines for people."""
    grid = plan["grid"]
    rows = [(row["setting"], row["value"], row["from"]) for row in plan["settings"]]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {value}  ({origin})" for name, value, origin in rows]
    lines += ["", f"grid: {grid['shape'][0]} x {grid['shape'][1]} cells of {grid['cell']:g} m"]
    lines += [f"folds: {plan['folds']}", ""]
    for row in plan["stages"]:
        what = f"made, about {row['seconds']:g} s: {row['why']}" if row["why"] else "remembered"
        lines.append(f"{row['stage']:<10} {what}")
    lines += [
        "",
        f"time: about {plan['minutes']:g} minutes",
        f"memory: about {plan['memory_gb']:g} GB of {plan['memory_free_gb']:g} GB that are free",
        f"disk: about {plan['disk_gb']:g} GB of {plan['disk_free_gb']:g} GB that are free",
        f"remembered: {plan['kept_mb']:g} MB (`geomfaf clean` removes them)",
    ]
    return lines
