"""What several commands do with their arguments: find layers, read them, print tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..errors import DataError, UsageError


def survey_of(paths: tuple[Path, ...], crs: str | None, xy_unit: str | None = None) -> Any:
    """Read a survey from a project file, or from the files it is made of."""
    from ..run.project import load_project
    from ..survey.read import read_survey
    from ..survey.recognise import recognised_sources

    if paths[0].suffix == ".toml":
        return load_project(paths[0]).read()
    return read_survey(recognised_sources(paths, crs, xy_unit))


def settings_of(paths: tuple[Path, ...], stage: str) -> dict[str, Any]:
    """Return a stage's settings when the survey is a project file, else none."""
    from ..run.project import load_project

    return load_project(paths[0]).stage(stage) if paths[0].suffix == ".toml" else {}


def seed_of(paths: tuple[Path, ...]) -> dict[str, int]:
    """Return the seed when the survey is a project file, else none."""
    from ..run.project import load_project

    return {"seed": load_project(paths[0]).seed} if paths[0].suffix == ".toml" else {}


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the running command that the user gave: they go before a project
    file's.
    """
    source = click.get_current_context().get_parameter_source
    return {
        key: value
        for key, value in options.items()
        if source(key) != click.core.ParameterSource.DEFAULT
    }


def in_composition(checked: Any, paths: tuple[Path, ...], kind: str | None) -> Any:
    """Return a checked survey with log-ratios, where the command or the project file asks
    for them.
    """
    from ..run.project import load_project
    from ..survey.cleaning.log_ratios import use_log_ratios

    stages = load_project(paths[0]).stages if paths[0].suffix == ".toml" else {}
    if kind is None and "composition" not in stages:
        return checked
    settings = stages.get("composition", {})
    return use_log_ratios(checked, **{**settings, **({"kind": kind} if kind else {})})


def source_of(path: Path, options: dict[str, Any], role: str) -> Any:
    """Return the source of one layer: as named, the only one, or the one that looks like
    its role.
    """
    from ..survey.formats import is_table
    from ..survey.recognise import list_layers, recognise_layers
    from ..survey.survey import Source

    named: dict[str, Any] = {key: options.get(key) for key in ("layer", "x", "y", "crs", "xy_unit")}
    if named["layer"] is None and not is_table(path):
        layers = list_layers(path)
        found = recognise_layers(layers).get(role)
        if len(layers) > 1 and found is None:
            names = ", ".join(layer.name for layer in layers)
            raise UsageError(
                f"no layer of {path.name} looks like {role}: name one with --layer. It has {names}."
            )
        named["layer"] = found.name if found else None
    return Source(path, **named)


def layer_of(path: Path, options: dict[str, Any], role: str, crs: Any = None) -> Any:
    """Read one layer into a metric CRS and clean its geometry, saying what was done."""
    from ..survey.cleaning.check import clean_layer
    from ..survey.read import metric_layer

    cleaned, findings = clean_layer(role, metric_layer(source_of(path, options, role), crs))
    say_findings(findings)
    if not len(cleaned):
        raise DataError(f"{path.name} has no usable {role}.")
    return cleaned


def grid_for(layer: Any, options: dict[str, Any]) -> Any:
    """Return the grid asked for: that of a raster, or bounds and cell."""
    from ..rasters.geotiff import raster_grid
    from ..rasters.grid import Grid, default_cell_size

    if options.get("like"):
        ground = raster_grid(options["like"])
        if ground.crs != layer.crs:
            raise UsageError(
                f"{options['like']} is in {ground.crs.name}, the layer in {layer.crs.name}."
            )
        return ground
    bounds = options.get("bounds") or tuple(layer.total_bounds)
    return Grid.from_bounds(bounds, options.get("cell") or default_cell_size(bounds), layer.crs)


def search_of(options: dict[str, Any], grid: Any) -> dict[str, Any]:
    """Return what the interpolation takes from a command's options."""
    from ..evidence.inverse_distance import IdwOptions

    lines = layer_of(options["barriers"], {}, "faults", grid.crs) if options["barriers"] else None
    neighbours = options["neighbours"]
    return {
        "power": "auto" if options["power"] == "auto" else number(options["power"], "--power"),
        "neighbours": (
            "auto" if neighbours == "auto" else whole_number(neighbours, "--neighbours") or None
        ),
        "radius": options["radius"],
        "scale": options["scale"],
        "options": IdwOptions(
            **{key: options[key] for key in ("minimum", "max_distance", "anisotropy", "errors")},
            barriers=lines,
            extras=tuple(options.get("extras") or ()),
        ),
    }


def stack_choices_of(
    paths: tuple[Path, ...], survey: Any, options: dict[str, Any], grid: Any
) -> dict[str, Any]:
    """Return how a stack is built: as the command says, and where it does not, as the project file
    does.
    """
    from dataclasses import replace

    from ..run.project import load_project
    from ..run.steps import stack_choices

    said = {"geology": options["geology"], "faults": options["faults"], **search_of(options, grid)}
    if paths[0].suffix != ".toml":
        return said
    given = given_options(options)
    choices = {key: value for key, value in said.items() if key != "options"}
    project = stack_choices(load_project(paths[0]), survey)
    choices.update((key, value) for key, value in project.items() if key not in given)
    own = {
        key: getattr(said["options"], key)
        for key in ("minimum", "max_distance", "anisotropy", "errors", "barriers")
    }
    choices["options"] = replace(
        project["options"], **{key: value for key, value in own.items() if key in given}
    )
    return choices


def output_of(path: Path, scheduler: str | None, overwrite: bool) -> dict[str, Any]:
    """Return where and how a raster is written: as a COG unless it is a Zarr store."""
    from ..rasters.stream import check_target

    cog = path.suffix != ".zarr"
    check_target(path, overwrite=overwrite, cog=cog)
    return {"path": path, "overwrite": overwrite, "cog": cog, "scheduler": scheduler}


def say_findings(findings: Any) -> None:
    """Print findings to stderr, a line each."""
    for row in findings.itertuples():
        column = f" {row.column}" if row.column else ""
        click.echo(
            f"{row.severity}: {row.layer}{column}: {row.count} {row.rule}: {row.done}", err=True
        )


def print_table(table: Any, as_json: bool) -> None:
    """Print a table to stdout: for people, or as JSON for programs."""
    if as_json:
        import json

        from ..files import plain_values

        click.echo(json.dumps(plain_values(table.to_dict("records")), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(show_edge=False, header_style="bold")
    for column in table.columns:
        shown.add_column(str(column).replace("_", " "), overflow="fold")
    for row in table.itertuples(index=False):
        shown.add_row(*[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row])
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(shown)


def number(text: str, option: str) -> float:
    """Return an option's text as a number."""
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f'{option}: "{text}" is neither a number nor "auto".') from error


def print_findings(findings: Any) -> None:
    """Print findings for people: a line for each rule of a layer, the columns it was broken in
    together.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"refused": "bold red", "fixed": "yellow", "noticed": "cyan"}
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    for name, options in (
        ("", {"no_wrap": True}),
        ("layer", {"no_wrap": True}),
        ("found", {"max_width": 22}),
        ("count", {"justify": "right", "no_wrap": True}),
        ("what was done, and what to do", {"ratio": 1}),
    ):
        shown.add_column(name, overflow="fold", **options)
    for (severity, layer, rule), group in findings.groupby(
        ["severity", "layer", "rule"], sort=False
    ):
        first = group.sort_values("count", ascending=False, kind="stable").iloc[0]
        columns = [column for column in group["column"] if column]
        where = (
            f"{rule}:"
            f" {', '.join(columns[:6])}{f' and {len(columns) - 6} more' if len(columns) > 6 else ''}"
        )
        what = Text(
            first["done"]
            + (
                f" ({first['column']})"
                if len(group) > 1 and first["column"] not in first["done"]
                else ""
            )
        )
        if first["advice"]:
            what.append(
                f". {first['advice'][0].upper()}{first['advice'][1:]}",
                "bold" if severity == "refused" else "dim",
            )
        if first["rows"]:
            what.append(f" [row{'s' if ' ' in first['rows'] else ''} {first['rows']}]", "dim")
        count = f"{group['count'].sum():,}" if group["count"].sum() else ""
        shown.add_row(
            Text(severity, colours[severity]), layer, where if columns else rule, count, what
        )
    total = findings["severity"].value_counts()
    console = Console(width=None if sys.stdout.isatty() else 100)
    if len(findings):
        console.print(shown)
    console.print(", ".join(f"{total.get(name, 0)} {name}" for name in colours))


def whole_number(text: str, option: str) -> int:
    """Return an option's text as a whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f'{option}: "{text}" is not a whole number.') from error
