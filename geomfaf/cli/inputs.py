"""Paths and options of a command go in; layers, grids, surveys and keyword arguments come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import DataError, UsageError
from .printing import say_findings


def project_of(paths: tuple[Path, ...]) -> Any:
    """Return the project of a ``geomfaf.toml``, None where survey files are named instead."""
    from ..run.project import load_project

    return load_project(paths[0]) if paths[0].suffix == ".toml" else None


def is_project(path: Path) -> bool:
    """Return whether a path names a project file."""
    return path.suffix == ".toml"


def given_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given: the others are left to the project file and the stage."""
    return {key: value for key, value in options.items() if value is not None}


def stage_settings(project: Any, table: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return a stage's settings: the options that were given, then the project file's."""
    return {**(project.stage(table) if project else {}), **given_options(options)}


def survey_of(
    paths: tuple[Path, ...],
    crs: str | None,
    xy_unit: str | None = None,
    rows: dict[str, Any] | None = None,
) -> Any:
    """Read a survey from a project file, or from the files it is made of.

    ``rows`` are the options of :func:`~geomfaf.cli.options.rows_options`.
    """
    from ..survey.read import read_survey

    project = project_of(paths)
    if project is not None:
        given = [f"--{name.replace('_', '-')}" for name, value in (rows or {}).items() if value]
        if given:
            raise UsageError(f"{', '.join(given)}: {paths[0].name} says it; change it there.")
        return project.read()
    known = recognised_survey(paths, crs, xy_unit, rows or {})
    return read_survey(known.sources, findings=known.findings)


def recognised_survey(
    paths: tuple[Path, ...],
    crs: str | None,
    xy_unit: str | None,
    rows: dict[str, Any],
) -> Any:
    """Look at survey files as the options say."""
    from ..survey.recognise import recognise_survey
    from ..survey.tables import Layout

    if rows.get("layer") and rows.get("sheet"):
        raise UsageError("--layer and --sheet name the same thing: give one of them.")
    layout = Layout(
        header=rows.get("header"), units_row=rows.get("units_row"), skip=rows.get("skip") or 0
    )
    return recognise_survey(
        paths,
        crs,
        xy_unit,
        layer=rows.get("layer") or rows.get("sheet"),
        x=rows.get("x"),
        y=rows.get("y"),
        layout=layout,
    )


def checked_survey(paths: tuple[Path, ...], crs: str | None, log_ratio: str | None) -> Any:
    """Return the checked survey, with log-ratios where the command or the project file asks for
    them; data that cannot be used are refused.
    """
    from ..survey.cleaning.check import check_survey
    from ..survey.cleaning.findings import require_accepted
    from ..survey.cleaning.log_ratios import use_log_ratios

    project = project_of(paths)
    checked, findings = check_survey(survey_of(paths, crs), **stage_settings(project, "check", {}))
    require_accepted(findings)
    say_findings(findings)
    asked = log_ratio is not None or (project and "composition" in project.stages)
    if not asked:
        return checked
    return use_log_ratios(checked, **stage_settings(project, "composition", {"kind": log_ratio}))


def source_of(path: Path, options: dict[str, Any], role: str) -> Any:
    """Return the source of one layer: as named, the only one, or the one that looks like
    its role.
    """
    from ..survey.recognise import list_layers, recognise_layers
    from ..survey.survey import Source
    from ..survey.tables import is_table

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


def layer_of(
    path: Path,
    options: dict[str, Any],
    role: str,
    crs: Any = None,
) -> Any:
    """Read one layer into a metric CRS and clean its geometry, saying what was done."""
    from ..survey.cleaning.check import clean_layer
    from ..survey.read import metric_layer

    crs = crs or crs_of_raster(options.get("like"))
    cleaned, findings = clean_layer(role, metric_layer(source_of(path, options, role), crs))
    say_findings(findings)
    if not len(cleaned):
        raise DataError(f"{path.name} has no usable {role}.")
    return cleaned


def element_samples(path: Path, crs: Any) -> Any:
    """Return samples with clean values in all columns that name elements."""
    from ..survey.cleaning.check import clean_samples
    from ..survey.element_choice import select_elements
    from ..survey.read import metric_layer

    layer = metric_layer(source_of(path, {}, "samples"), crs)
    cleaned, findings = clean_samples(layer, select_elements(layer))
    say_findings(findings)
    return cleaned


def crs_of_raster(path: Path | None) -> Any:
    """Return the CRS of the raster whose grid is taken, into which layers are brought; None without
    one.
    """
    from ..rasters.geotiff import raster_grid

    return None if path is None else raster_grid(path).crs


def grid_for(layer: Any, options: dict[str, Any]) -> Any:
    """Return the grid asked for: that of a raster, or bounds and cell."""
    from ..rasters.geotiff import raster_grid
    from ..rasters.grid import Grid, default_cell_size

    if options.get("like"):
        return raster_grid(options["like"])
    bounds = options.get("bounds") or tuple(layer.total_bounds)
    return Grid.from_bounds(bounds, options.get("cell") or default_cell_size(bounds), layer.crs)


def raster_of(text: str) -> Any:
    """Return the source of ``NAME=PATH``; a path alone gives its name."""
    from ..evidence.own_rasters import RasterSource

    name, sign, path = text.partition("=")
    return RasterSource(Path(path), name) if sign else RasterSource(Path(text), Path(text).stem)


OWN_IDW = ("power", "neighbours", "radius", "scale")
"""Keywords of the interpolation; the others are fields of its options."""


def idw_choices(
    project: Any,
    survey: Any,
    options: dict[str, Any],
    grid: Any,
) -> dict[str, Any]:
    """Return what the interpolation takes: as the command says, then as the project file does.

    Parameters
    ----------
    project : Project or None
    survey : Survey or None
        For the faults of a project that takes them as barriers.
    options : dict
        Of the command; those that were not given are None.
    grid : Grid
        Barriers are brought into its CRS.
    """
    from dataclasses import replace

    from ..evidence.inverse_distance import IDW_SETTINGS, IdwOptions

    choices: dict[str, Any] = {"options": IdwOptions(errors=True)}
    if project is not None:
        from ..run.steps import stack_choices

        choices = stack_choices(project, survey)
    given = given_options(options)
    own = {key: given[key] for key in IDW_SETTINGS if key in given}
    if "anisotropy" in own:
        own["anisotropy"] = tuple(own["anisotropy"])
    if "barriers" in given:
        own["barriers"] = layer_of(given["barriers"], {}, "faults", grid.crs)
    if "extras" in given:
        own["extras"] = tuple(given["extras"])
    choices["options"] = replace(choices["options"], **own)
    choices |= {key: given[key] for key in (*OWN_IDW, "geology", "faults") if key in given}
    if choices.get("neighbours") == 0:
        choices["neighbours"] = None  # all samples
    return choices


def output_of(path: Path, scheduler: str | None, overwrite: bool) -> dict[str, Any]:
    """Return where and how a raster is written: as a COG unless it is a Zarr store."""
    from ..rasters.stream import check_target

    cog = path.suffix != ".zarr"
    check_target(path, overwrite=overwrite, cog=cog)
    return {
        "path": path,
        "overwrite": overwrite,
        "cog": cog,
        "scheduler": scheduler,
    }


def require_geopackage(path: Path) -> None:
    """Refuse a name that promises another format than the GeoPackage that is written."""
    if path.suffix.lower() != ".gpkg":
        raise UsageError(
            f'{path.name} ends in "{path.suffix}": a GeoPackage is written, name it'
            f" {path.stem}.gpkg."
        )


def refuse_inputs_as_outputs(ctx: click.Context) -> None:
    """Refuse a command whose result would replace one of its inputs, under any name or link."""
    from ..files import same_file
    from .options import EXISTING, NEW

    read: list[Path] = []
    written: list[Path] = []
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        values = value if isinstance(value, tuple) else (value,)
        paths = [path for path in values if isinstance(path, Path)]
        read += paths if parameter.type is EXISTING else []
        written += paths if parameter.type is NEW else []
    read += [source for path in read if is_project(path) for source in _sources(path)]
    for result in written:
        for source in read:
            if same_file(result, source):
                raise UsageError(
                    f"the result {result} is one of the inputs ({source}): name another file."
                )


def _sources(path: Path) -> list[Path]:
    """Return the files that a project file names, without checking anything else of it."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    tables = [table for table in content.values() if isinstance(table, dict)]
    return [path.parent / str(table["path"]) for table in tables if "path" in table]


def refuse_taken(paths: list[Path], overwrite: bool) -> None:
    """Refuse results that are there already, before any work."""
    from ..files import refuse_existing

    for path in paths:
        refuse_existing(path, overwrite)
