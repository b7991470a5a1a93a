"""A folder goes in; an environment with geomfaf comes out: by uv where there is one, else by venv."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .finding import executable_in
from .process import RunError, run_process

PYTHON = "3.12"
"""The version that uv fetches."""

OLDEST = (3, 11)
"""The oldest Python that geomfaf runs on."""

TORCH_CPU = "https://download.pytorch.org/whl/cpu"
"""PyTorch's builds for processors: the usual one for Linux brings gigabytes of CUDA."""

CANCELLED = "cancelled: the installation is not finished, and its folder was removed"


class InstallError(Exception):
    """Nothing can be installed; the message says why."""


@dataclass(frozen=True)
class Step:
    """One command of an installation.

    Attributes
    ----------
    title : str
        What people read.
    command : list of str
        The program and its arguments.
    needed : bool
        Whether the installation ends when it fails.
    """

    title: str
    command: list[str]
    needed: bool = True


def python_of_qgis(prefix: Path, system: str) -> str:
    """Return the Python to make an environment with: QGIS's ``sys.executable`` may be QGIS itself."""
    if system == "Windows":
        return str(prefix / "python.exe")
    beside = prefix / "bin" / "python3"
    return str(beside) if beside.exists() else "python3"


def install_steps(
    environment: Path,
    source: str,
    uv: str | None,
    system: str,
    version: tuple[int, int] = sys.version_info[:2],
) -> list[Step]:
    """Return the commands that install geomfaf.

    Parameters
    ----------
    environment : Path
        Folder of the environment.
    source : str
        What is installed: the path of a wheel or of a clone, or a name that pip knows.
    uv : str, optional
        The command uv, where it is there.
    system : str
        As ``platform.system()`` says.
    version : tuple of int
        That of QGIS's Python, which makes the environment where there is no uv.

    Raises
    ------
    InstallError
        Without uv, when that Python is too old for geomfaf.
    """
    inside = executable_in(environment, system)
    python = str(inside.with_name("python.exe" if system == "Windows" else "python"))
    if uv:
        # PyTorch for the processor alone: a map of a survey needs no graphics card.
        chosen = ["--torch-backend", "cpu", "--python", python]
        return [
            Step("making an environment", [uv, "venv", "--python", PYTHON, str(environment)]),
            Step("installing geomfaf", [uv, "pip", "install", *chosen, source]),
        ]
    if version < OLDEST:
        said = ".".join(map(str, version))
        raise InstallError(
            f"QGIS brings Python {said} here, and geomfaf needs 3.11 or newer: install uv"
            " (docs.astral.sh/uv), which fetches its own, and start this again."
        )
    own = python_of_qgis(Path(sys.prefix), system)
    pip = [python, "-m", "pip", "install"]
    steps = [Step("making an environment", [own, "-m", "venv", str(environment)])]
    if system == "Linux":
        torch = [*pip, "--index-url", TORCH_CPU, "torch", "torchvision"]
        steps.append(Step("installing PyTorch for the processor", torch, needed=False))
    return [*steps, Step("installing geomfaf", [*pip, source])]


def install(steps: list[Step], environment: Path, feedback: Any) -> None:
    """Run the steps of an installation; what is not finished is removed.

    Raises
    ------
    RunError
        A step failed, with its last words, or the installation was cancelled.
    """
    if environment.exists():
        shutil.rmtree(environment)
    try:
        for number, step in enumerate(steps):
            feedback.setProgress(100 * number / len(steps))
            feedback.setProgressText(f"{step.title} ({number + 1} of {len(steps)})")
            feedback.pushInfo(" ".join(step.command))
            _run(step, environment, feedback)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise


def _run(step: Step, environment: Path, feedback: Any) -> None:
    try:
        run_process(
            step.command, feedback, environment.parent, json_lines=False, cancelled=CANCELLED
        )
    except (RunError, OSError) as error:
        if feedback.isCanceled():
            raise
        if step.needed:
            raise RunError(f"{step.title} failed: {error}") from error
        feedback.pushWarning(f"{step.title} failed: {error}; the usual build is taken")


def uv_command(home: Path) -> str | None:
    """Return uv, from the search path or from where its installer puts it."""
    name = "uv.exe" if platform.system() == "Windows" else "uv"
    found = shutil.which(name)
    for place in (home / ".local" / "bin" / name, home / ".cargo" / "bin" / name):
        if found is None and place.is_file():
            found = str(place)
    return found
