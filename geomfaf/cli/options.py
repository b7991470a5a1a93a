"""Options that several commands share; those that are settings take all they say from the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..settings.pages import default_text
from ..settings.setting import Setting
from ..settings.tables import LARGEST_SEED, TABLES


class _PlainPath(click.Path):
    """A path whose text can be printed: no NUL, no line break."""

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        """Return the path, or refuse it in one line."""
        if not str(value).isprintable():
            shown = str(value).encode("unicode_escape").decode("ascii", "replace")
            self.fail(
                f'"{shown}" is no path: it holds a line break or a control character.', param, ctx
            )
        return super().convert(value, param, ctx)


EXISTING = _PlainPath(exists=True, path_type=Path)
NEW = _PlainPath(path_type=Path)
PROJECT = "geomfaf.toml"
"""The project file that commands take where none is named."""


class SettingType(click.ParamType):
    """Reads the text of an option as its setting allows."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = {"whole number": "integer", "number": "float"}.get(setting.kind, "text")
        if setting.kind in ("texts", "numbers", "whole numbers"):
            self.name = "a,b,..."

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Any:
        """Return the value; refuse one that the setting does not allow, in its words."""
        found = self._value(value) if isinstance(value, str) else value
        problem = self.setting.problem(found)
        if problem:
            self.fail(f"{value} {problem}.", param, ctx)
        return found

    def _value(self, text: str) -> Any:
        kind = self.setting.kind
        if kind in ("texts", "numbers", "whole numbers"):
            parts = [part.strip() for part in text.split(",") if part.strip()]
            return [_number(part, kind.removesuffix("s")) for part in parts]
        return text if text in self.setting.words else _number(text, kind)


def _number(text: str, kind: str) -> Any:
    """Return a text as the number that is wanted; as it is where it is none, to be refused."""
    try:
        return {"whole number": int, "number": float}.get(kind, str)(text)
    except ValueError:
        return text


def setting_option(
    table: str,
    name: str,
    flag: str = "",
    default: Any = None,
) -> Callable:
    """Return the option of a setting.

    Nothing is passed on where the option is not given: the project file, else the stage's function,
    then says what counts.

    Parameters
    ----------
    flag : str
        Name of the option where it is not the setting's.
    default : object
        What the command takes where it differs from the setting's default.
    """
    setting = TABLES[table][name]
    flag = flag or f"--{name.replace('_', '-')}"
    meaning = setting.meaning
    if ":" not in meaning.split()[0]:
        meaning = meaning[0].upper() + meaning[1:]
    said = f"{meaning} [default: {default_text(setting, default)}]"
    if setting.kind == "flag":
        negative = f"--no-{flag.removeprefix('--')}"
        return click.option(f"{flag}/{negative}", default=default, help=said)
    kind: Any = SettingType(setting)
    if setting.kind == "text" and setting.choices:
        kind = click.Choice([*setting.words, *setting.choices])
    if setting.kind == "path":
        kind = EXISTING
    return click.option(flag, type=kind, default=default, help=said)


def table_options(table: str, *without: str) -> Callable:
    """Return the options of all settings of a table, without some."""
    names = [setting.name for setting in TABLES[table].settings]
    return together(*[setting_option(table, name) for name in names if name not in without])


def name_list(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """Read comma-separated names (a click callback)."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def bounds(_: click.Context, __: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Read W,S,E,N (a click callback)."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 4:
        raise click.BadParameter(
            f'"{text}" is not W,S,E,N in metres: 4 numbers, such as 400000,2400000,420000,2420000.'
        )
    return values


def together(*options: Callable) -> Callable:
    """Join options that several commands share."""

    def add(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return add


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace a result that is already there."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, LARGEST_SEED),
    help="Seed of everything random [default: 0, or the project file's].",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
log_ratio_option = setting_option("composition", "kind", "--log-ratio", None)
device_option = setting_option("train", "device")
stride_option = setting_option("predict", "stride")
network_options = together(
    setting_option("", "preset"),
    *[
        setting_option("train", name)
        for name in ("backbone", "network", "epochs", "weights", "pretrain")
    ],
)
layer_options = together(
    click.option(
        "--layer", help="Layer of the file [default: the one that looks like what is needed]."
    ),
    click.option("--x", help="x column of a table (CSV)."),
    click.option("--y", help="y column of a table (CSV)."),
    click.option("--crs", help="CRS of a table or a file without one, such as EPSG:32650."),
    setting_option("samples", "xy_unit"),
)
ROWS = ("x", "y", "layer", "sheet", "header", "units_row", "skip")
"""The options that say which columns, sheet and rows of survey files are meant."""

rows_options = together(
    click.option("--x", help="x column of the tables that have it [default: found]."),
    click.option("--y", help="y column of the tables that have it [default: found]."),
    click.option("--layer", help="Layer of the first file that is used [default: found]."),
    click.option("--sheet", help="Sheet of the first file, a workbook [default: found]."),
    click.option("--header", type=int, help="Row of its headings, from 1 [default: found]."),
    click.option("--units-row", type=int, help="Row of its units, from 1 [default: found]."),
    click.option("--skip", type=int, help="Rows at its top that are no part of the table."),
)
grid_options = together(
    setting_option("grid", "cell"),
    click.option("--bounds", callback=bounds, help="W,S,E,N in metres [default: the layer's]."),
    click.option("--like", type=EXISTING, help="Take the grid of this raster."),
)
idw_options = together(
    table_options("grid", "cell", "scale", "barriers"),
    click.option(
        "--barriers", type=EXISTING, help="Fault lines; a sample behind one does not count."
    ),
)
style_option = click.option(
    "--style", is_flag=True, help="Also write how QGIS draws OUT's first band beside it (.qml)."
)
scheduler_option = click.option(
    "--scheduler", help="Dask scheduler to compute on, such as tcp://10.0.0.1:8786."
)
