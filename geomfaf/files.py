"""Files that appear under their name only when complete, never over an older one unasked.

Who fills a folder may watch it: the files that appear there are listed, and none that was not
listed before is replaced. Hashes, JSON and CSV are here too.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import __version__
from .errors import OutputExistsError, UsageError


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Raise :class:`OutputExistsError` early, before an hour of work that could not be written."""
    if Path(path).exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists: choose another name or allow it with --overwrite (overwrite=True)."
        )


def require_folder_of(path: Path) -> None:
    """Raise :class:`UsageError` when a file's folder does not exist."""
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {path.parent} does not exist: create it or choose another place for"
            f" {path.name}."
        )


def make_folder(path: Path) -> None:
    """Make a folder for results; refused where a file has its name, or where it may not be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the folder {path} cannot be made: {error.strerror}. Choose another place."
        ) from error


@dataclass
class WatchedFolder:
    """A folder whose files may be replaced only where they are known.

    Attributes
    ----------
    path : Path
        The folder.
    known : set of str
        Names of files, from the folder on, that may be replaced.
    made : list of str
        Names of the files that appeared since it is watched.
    journal : Path, optional
        Gets each name, a line each, before the file appears: a process that is killed then does not
        leave files that nobody knows.
    """

    path: Path
    known: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    journal: Path | None = None

    def note(self, path: Path) -> None:
        """Note a file that is about to appear, where it lies in the folder."""
        name = self.name_of(path)
        if name is None:
            return
        self.made.append(name)
        if self.journal is not None:
            with open(self.journal, "a", encoding="utf-8") as file:
                file.write(f"{name}\n")

    def name_of(self, path: Path) -> str | None:
        """Return a file's name from the folder on; None for one that lies elsewhere."""
        place = path.resolve()
        root = self.path.resolve()
        return place.relative_to(root).as_posix() if place.is_relative_to(root) else None

    def refuse(self, path: Path) -> None:
        """Raise :class:`OutputExistsError` for a file that is there and is not known."""
        name = self.name_of(path)
        if name is not None and path.exists() and name not in {*self.known, *self.made}:
            raise OutputExistsError(
                f"{path} is not a file that geomfaf made: move it away, or choose another folder."
            )


_watched: list[WatchedFolder] = []


@contextmanager
def watch_folder(watch: WatchedFolder) -> Iterator[None]:
    """Watch a folder while the block runs."""
    _watched.append(watch)
    try:
        yield
    finally:
        _watched.remove(watch)


@contextmanager
def finished_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its name when the block ends without an
    error.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    require_folder_of(path)
    for watch in _watched:
        watch.refuse(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        _to_disk(beside)
        for watch in _watched:
            watch.note(path)
        os.replace(beside, path)
    finally:
        for leftover in path.parent.glob(f"{glob.escape(beside.name)}*"):
            leftover.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk: its name must not outlive it in a power cut."""
    if path.is_file():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left of :func:`finished_file`; the folder must be ours alone."""
    for path in folder.rglob(".*"):
        if re.fullmatch(r"\..+\.\d+(\..+)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def same_file(first: str | Path, second: str | Path) -> bool:
    """Return whether two paths name one file or folder, through links of any kind too."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def write_table(
    table: pd.DataFrame, path: str | Path, *, digits: int = 6, overwrite: bool = False
) -> Path:
    """Write a table as CSV (UTF-8, no index); numbers to six digits unless more are asked for,
    coordinates to the centimetre.
    """

    def short(value: Any) -> str:
        return f"{value:.{digits}g}" if abs(value) < 1e4 else f"{value:.2f}".removesuffix(".00")

    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        table.to_csv(final, index=False, float_format=short)
    return path


def write_json(content: Mapping[str, Any], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write JSON; NaN becomes null, as JSON has no NaN."""
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        final.write_text(
            json.dumps(plain_values(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return path


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on, looked up once."""
    import platform

    names = (
        "torch",
        "torchvision",
        "numpy",
        "scipy",
        "scikit-learn",
        "rasterio",
        "geopandas",
        "shapely",
    )
    own = {"python": platform.python_version(), "geomfaf": __version__}
    return {**own, **{name: version(name) for name in names}}


def plain_values(value: Any) -> Any:
    """Return numbers, lists and dicts that JSON can hold.

    >>> plain_values({"a": np.float64("nan"), "b": (np.int64(1), Path("x"))})
    {'a': None, 'b': [1, 'x']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
