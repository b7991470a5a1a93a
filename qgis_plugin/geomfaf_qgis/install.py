"""A folder goes in; an environment with geomfaf comes out: by uv where there is one, else by venv."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

from .finding import executable_in

PYTHON = "3.12"
"""The version that uv fetches; venv needs one of at least 3.11 on the computer."""


def python_of_qgis(prefix: Path, system: str) -> str:
    """Return the Python to make an environment with: QGIS's ``sys.executable`` may be QGIS itself."""
    if system == "Windows":
        return str(prefix / "python.exe")
    beside = prefix / "bin" / "python3"
    return str(beside) if beside.exists() else "python3"


def install_steps(environment: Path, source: str, uv: str | None, system: str) -> list[list[str]]:
    """Return the commands that install geomfaf, each a list of arguments.

    Parameters
    ----------
    environment : Path
        Folder of the environment.
    source : str
        What is installed: ``geomfaf``, or the path of a wheel or of its source.
    uv : str, optional
        The command uv, where it is there.
    system : str
        As ``platform.system()`` says.
    """
    inside = executable_in(environment, system)
    python = str(inside.with_name("python.exe" if system == "Windows" else "python"))
    if uv:
        # PyTorch for the processor alone: a map of a survey needs no graphics card.
        chosen = ["--torch-backend", "cpu", "--python", python]
        return [
            [uv, "venv", "--python", PYTHON, "--clear", str(environment)],
            [uv, "pip", "install", *chosen, source],
        ]
    own = python_of_qgis(Path(sys.prefix), system)
    return [
        [own, "-m", "venv", "--clear", str(environment)],
        [python, "-m", "pip", "install", source],
    ]


def uv_command(home: Path) -> str | None:
    """Return uv, from the search path or from where its installer puts it."""
    name = "uv.exe" if platform.system() == "Windows" else "uv"
    found = shutil.which(name)
    for place in (home / ".local" / "bin" / name, home / ".cargo" / "bin" / name):
        if found is None and place.is_file():
            found = str(place)
    return found
