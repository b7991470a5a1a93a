"""``geomfaf.toml`` goes in, a :class:`Project` whose every setting was checked comes out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError, nearest_name
from ..settings.check import require_settings
from ..settings.tables import LAYERS, TABLES
from ..survey.formats import is_database
from ..survey.read import read_survey
from ..survey.survey import Source, Survey
from .folder import KEPT, MARKER

ROLES = tuple(table.name for table in LAYERS)
SOURCE_KEYS = {option.name for option in fields(Source)}

QUICK = {
    "draws": 1,
    "network_draws": 1,
    "baselines": ["extra trees", "logistic regression"],
    "optimism": [],
    "shifts": 0,
    "network_shifts": 0,
    "paper_protocol": False,
}
"""What ``quick = true`` makes of ``[evaluate]``: enough to look around, too little to rely on."""


@dataclass(frozen=True)
class Project:
    """Settings of a run, as :func:`load_project` reads them.

    ``stages`` holds one table a stage, with the keyword arguments of its function as keys; a table
    that may be repeated is a list of such tables. ``path`` is the file they were read from, ``content`` what it says,
    ``changed`` the names of the settings that went before it.
    """

    folder: Path
    sources: dict[str, Source]
    out: Path
    preset: str = "compact"
    model: str = "auto"
    crs: str | None = None
    seed: int = 0
    quick: bool = False
    elements: list[str] | None = None
    units: dict[str, str] = field(default_factory=dict)
    geology_column: str | None = None
    stages: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    content: dict[str, Any] = field(default_factory=dict)
    changed: tuple[str, ...] = ()

    def read(self) -> Survey:
        """Read the survey as the settings say."""
        return read_survey(
            self.sources,
            elements=self.elements,
            units=self.units,
            geology_column=self.geology_column,
            crs=self.crs,
        )

    def stage(self, name: str, *keys: str) -> dict[str, Any]:
        """Return the settings of one stage, all of them or some keys."""
        table = self.stages.get(name, {})
        return {key: value for key, value in table.items() if not keys or key in keys}

    def repeated(self, name: str) -> list[dict[str, Any]]:
        """Return the tables of a name that may stand several times, such as ``[[rasters]]``."""
        return [dict(table) for table in self.stages.get(name, [])]


def load_project(path: str | Path, changes: Mapping[str, Any] | None = None) -> Project:
    """Read ``geomfaf.toml`` and check every setting.

    Parameters
    ----------
    path : path
        The file, the folder that holds a ``geomfaf.toml``, or a run folder: then the settings with
        which it was made count, and it is the folder of the results.
    changes : mapping, optional
        Settings that go before the file's, such as ``{"targets.area_share": 0.02, "seed": 3}``.

    Returns
    -------
    Project
        Every setting, checked, with the file's folder.

    Raises
    ------
    UsageError
        For a setting that does not exist, with the nearest one that does, for one that is gone,
        with the reason, for a value that is not allowed, and for a run folder without a record.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> _ = gm.init_project([path], f"{folder}/geomfaf.toml")
    >>> gm.load_project(folder, {"seed": 3}).seed
    3
    """
    path = Path(path)
    if is_run_folder(path):
        content, path = _settings_of_run(path)
    else:
        path = path / "geomfaf.toml" if path.is_dir() else path
        content = _read_toml(path)
    changes = changes or {}
    for name, value in changes.items():
        _change(content, name, value)
    return replace(project_from(content, path), changed=tuple(changes))


def project_from(content: Mapping[str, Any], path: Path) -> Project:
    """Return the project of the content of a project file; ``path`` is where that lies.

    Raises
    ------
    UsageError
        See :func:`load_project`.
    """
    _require_known(path, content)
    tables = {name: _with_paths(name, content[name], path.parent) for name in content}
    quick = content.get("quick", False)
    if quick:
        tables["evaluate"] = {**tables.get("evaluate", {}), **QUICK}
        # A quarter of the windows: the map is a little smoother, and there four times sooner.
        size = tables.get("windows", {}).get("size", TABLES["windows"]["size"].default)
        tables["predict"] = {"stride": max(1, size // 2), **tables.get("predict", {})}
    return Project(
        folder=path.parent,
        sources=_sources(path, tables),
        out=path.parent / content.get("out", "out"),
        preset=content.get("preset", "compact"),
        model=content.get("model", "auto"),
        crs=content.get("crs"),
        seed=content.get("seed", 0),
        quick=quick,
        elements=content.get("samples", {}).get("elements"),
        units=content.get("samples", {}).get("units", {}),
        geology_column=content.get("geology", {}).get("column"),
        stages={name: table for name, table in tables.items() if _is_stage(name)},
        path=path,
        content=dict(content),
    )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not exist: write one with `geomfaf init survey.gpkg`."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}.") from error


def is_run_folder(path: Path) -> bool:
    """Return whether a path is a folder that a run filled, and no project's."""
    return (path / MARKER).is_file() and not (path / "geomfaf.toml").exists()


def _settings_of_run(folder: Path) -> tuple[dict[str, Any], Path]:
    """Return the settings with which a run folder was made, and their project file, which may be
    gone: relative paths start from its folder.
    """
    # A run that is being changed keeps the record of the one before.
    places = (folder / "run.json", folder / KEPT / "run.json")
    record = next((place for place in places if place.is_file()), None)
    try:
        if record is None:
            raise KeyError("run.json")
        project = json.loads(record.read_text(encoding="utf-8"))["project"]
        content = {**project["content"], "out": str(folder.resolve())}
        file = Path(project["file"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder} holds no finished run (run.json): name its project file instead."
        ) from error
    # The run and its project may have been moved together.
    beside = folder.resolve().parent / file.name
    return content, beside if beside.is_file() else file


def _change(content: dict[str, Any], name: str, value: Any) -> None:
    """Put one setting, named ``table.key`` or ``key``, in place of the file's."""
    table, _, key = name.rpartition(".")
    target = content.setdefault(table, {}) if table else content
    if not isinstance(target, dict):
        raise UsageError(f"{name}: [[{table}]] stands several times; change it in the file.")
    target[key] = value


def _require_known(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a table or a setting that does not exist, and a value that is not allowed."""
    top = {setting.name for setting in TABLES[""].settings}
    source = f"{path.name}: "
    for name, value in content.items():
        if name in top:
            continue
        table = TABLES.get(name)
        wanted = list if table and table.repeated else dict
        if table is None or not isinstance(value, wanted):
            hint = nearest_name(name, {*top, *filter(None, TABLES)})
            kind = f"[[{name}]]" if table and table.repeated else f"[{name}]"
            written = f" It is a table: write {kind}." if table else hint
            raise UsageError(f'{path.name}: "{name}" is no setting.{written}')
        for values in value if isinstance(value, list) else [value]:
            require_settings(name, values, source=source)
    require_settings("", {key: content[key] for key in content if key in top}, source=source)


def _with_paths(name: str, value: Any, folder: Path) -> Any:
    """Return a table whose paths are taken from the project file's folder."""
    if isinstance(value, list):
        return [_with_paths(name, table, folder) for table in value]
    if not isinstance(value, dict):
        return value
    placed = dict(value)
    for setting in TABLES[name].settings:
        if setting.kind == "path" and placed.get(setting.name):
            placed[setting.name] = str(folder / placed[setting.name])
    return placed


def _sources(path: Path, tables: Mapping[str, Any]) -> dict[str, Source]:
    """Return where each layer is read from."""
    sources = {}
    for role in ROLES:
        if role not in tables:
            continue
        table = {key: value for key, value in tables[role].items() if key in SOURCE_KEYS}
        place = table.pop("path", None)
        if "layers" in table:
            table["layers"] = tuple(table["layers"])
        if place is None:
            raise UsageError(f"{path.name}: [{role}] has no path.")
        sources[role] = Source(place if is_database(place) else path.parent / place, **table)
    return sources


def _is_stage(name: str) -> bool:
    return name in TABLES and name != "" and name not in ROLES


def setting_from_text(text: str) -> tuple[str, Any]:
    """Return the name and the value of ``table.key=value``, as ``--set`` takes it.

    The value is what TOML makes of it; where TOML makes nothing of it, it is a text.

    >>> setting_from_text("targets.area_share=0.02")
    ('targets.area_share', 0.02)
    >>> setting_from_text("model=extra trees")
    ('model', 'extra trees')
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(
            f'"{text}" is no setting: write table.name=value, such as targets.area_share=0.02.'
        )
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()
