"""A computer goes in; the command ``geomfaf`` that is installed on it comes out. No QGIS needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

NEEDED = (0, 2, 0)
"""The oldest version of geomfaf that this plugin can talk to."""

ENVIRONMENT = "geomfaf-environment"
"""The folder, in the profile of QGIS, into which the plugin installs geomfaf."""

# QGIS brings its own Python, GDAL and PROJ: what it says of them must not reach another Python.
FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "PROJ_LIB",
    "PROJ_DATA",
    "QT_PLUGIN_PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)


class NotFoundError(Exception):
    """No geomfaf, or one that is too old; the message says what to do."""


def clean_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that another Python may see."""
    return {name: value for name, value in environment.items() if name not in FOREIGN}


def executable_in(environment: Path, system: str) -> Path:
    """Return where the command lies in an environment of Python."""
    if system == "Windows":
        return environment / "Scripts" / "geomfaf.exe"
    return environment / "bin" / "geomfaf"


def candidates(
    system: str, variables: dict[str, str], home: Path, profile: Path, project: Path | None
) -> list[Path]:
    """Return where geomfaf may lie, the likeliest first; the places need not exist.

    Parameters
    ----------
    system : str
        As ``platform.system()`` says: Windows, Darwin or Linux.
    variables : dict
        The environment's.
    home, profile, project : Path
        The user's folder, that of the QGIS profile, and that of the open project.
    """
    name = "geomfaf.exe" if system == "Windows" else "geomfaf"
    found = []
    # 1. Beside the project, or above it.
    if project is not None:
        folders = [project, *list(project.parents)[:3]]
        found += [executable_in(folder / ".venv", system) for folder in folders]
    # 2. What the plugin installed.
    found.append(executable_in(profile / ENVIRONMENT, system))
    # 3. The search path, taken apart by hand: that of the system asked about, not of this one.
    split = ";" if system == "Windows" else ":"
    searched = [folder for folder in variables.get("PATH", "").split(split) if folder]
    found += [Path(folder) / name for folder in searched]
    # 4. Tools of uv and pipx.
    found += [folder / name for folder in _tool_commands(variables, home)]
    found += [executable_in(folder / "geomfaf", system) for folder in _tools(variables, home)]
    # 5. Environments of conda, the base and the named ones.
    found += [executable_in(folder, system) for folder in _conda_environments(variables, home)]
    # 6. Where applications of macOS do not look by themselves.
    if system == "Darwin":
        found += [Path("/opt/homebrew/bin/geomfaf"), Path("/usr/local/bin/geomfaf")]
    return found


def _tool_commands(variables: dict[str, str], home: Path) -> list[Path]:
    """Return the folders into which uv and pipx put the commands of tools."""
    chosen = [variables.get(name) for name in ("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR")]
    return [*(Path(folder) for folder in chosen if folder), home / ".local" / "bin"]


def _tools(variables: dict[str, str], home: Path) -> list[Path]:
    """Return the folders in which uv and pipx keep environments, by variables and by default."""
    found = []
    if variables.get("UV_TOOL_DIR"):
        found.append(Path(variables["UV_TOOL_DIR"]))
    if variables.get("PIPX_HOME"):
        found.append(Path(variables["PIPX_HOME"]) / "venvs")
    found += [home / ".local" / "share" / "uv" / "tools", home / ".local" / "pipx" / "venvs"]
    found += [home / ".local" / "share" / "pipx" / "venvs", home / "pipx" / "venvs"]
    # macOS
    found.append(home / "Library" / "Application Support" / "pipx" / "venvs")
    # Windows
    if variables.get("APPDATA"):
        found.append(Path(variables["APPDATA"]) / "uv" / "data" / "tools")
        found.append(Path(variables["APPDATA"]) / "uv" / "tools")
    if variables.get("LOCALAPPDATA"):
        found.append(Path(variables["LOCALAPPDATA"]) / "pipx" / "pipx" / "venvs")
    return found


def _conda_environments(variables: dict[str, str], home: Path) -> list[Path]:
    """Return the environments of conda that it notes, and those of installations where they are
    usually put.
    """
    places = [home]
    places += [
        Path(variables[name]) for name in ("LOCALAPPDATA", "PROGRAMDATA") if variables.get(name)
    ]
    if not variables.get("PROGRAMDATA"):
        places.append(Path("/opt"))
    found = []
    # 1. conda and mamba add every environment that they make to this list.
    noted = home / ".conda" / "environments.txt"
    if noted.is_file():
        lines = noted.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [Path(line.strip()) for line in lines if line.strip()]
    # 2. The base and the named ones of each installation.
    kinds = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "conda")
    for base in [place / kind for place in places for kind in kinds] + [home / ".conda"]:
        named = sorted((base / "envs").glob("*")) if (base / "envs").is_dir() else []
        found += [base, *named]
    return found


def find_command(chosen: str, places: list[Path]) -> Path:
    """Return the command: the one that is chosen, else the first that is there.

    Raises
    ------
    NotFoundError
        It is nowhere, or the chosen one is not there.
    """
    if chosen:
        path = Path(chosen)
        found = shutil.which(str(path))
        if found is None:
            raise NotFoundError(
                f'"{chosen}" cannot be run: correct the path of geomfaf in Settings > Options >'
                " Processing > Providers > geomfaf, or leave it empty to have it found."
            )
        return Path(found)
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise NotFoundError(
        'geomfaf was not found on this computer. Run the algorithm "Install geomfaf", or install it'
        " yourself and set its path in Settings > Options > Processing > Providers > geomfaf."
    )


def require_version(command: Path) -> str:
    """Return the version of a command, or say that it is too old or no geomfaf at all.

    A command is asked once, and again when its file has changed.
    """
    return _version(command, command.stat().st_mtime_ns if command.exists() else 0)


@lru_cache
def _version(command: Path, _changed: int) -> str:
    try:
        answer = subprocess.run(
            [str(command), "--version"],
            capture_output=True,
            text=True,
            timeout=120,
            env=clean_environment(dict(os.environ)),
            check=False,
        )
        text = answer.stdout or answer.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        text = str(error)
    # The versions of libraries stand in the lines below.
    found = re.match(r"geomfaf (\d+)\.(\d+)\.(\d+)", text)
    if found is None:
        raise NotFoundError(f"{command} does not answer like geomfaf: {text.strip()[:200]}")
    version = tuple(int(part) for part in found.groups())
    shown = ".".join(found.groups())
    if version < NEEDED:
        needed = ".".join(map(str, NEEDED))
        raise NotFoundError(
            f"{command} is geomfaf {shown}; this plugin needs {needed} or newer. Update it:"
            f" {how_to_update(command)}."
        )
    return shown


def how_to_update(command: Path) -> str:
    """Return what brings a newer geomfaf to where a command lies."""
    # A tool's command is a link into its environment.
    places = {part.lower() for part in (*command.parts, *command.resolve().parts)}
    if ENVIRONMENT in places:
        return 'run the algorithm "Install geomfaf" again'
    if "uv" in places:
        return "uv tool upgrade geomfaf"
    if "pipx" in places:
        return "pipx upgrade geomfaf"
    return "pip install --upgrade geomfaf, in the environment that holds it"
