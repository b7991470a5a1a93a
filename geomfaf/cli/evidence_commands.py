"""Gridding, rasterizing, stacking and windows as commands. Heavy packages are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import DataError
from ..progress import say
from .inputs import (
    checked_survey,
    crs_of_raster,
    given_options,
    grid_for,
    idw_choices,
    layer_of,
    output_of,
    project_of,
    raster_of,
    refuse_taken,
    require_geopackage,
    source_of,
)
from .options import (
    EXISTING,
    NEW,
    grid_options,
    idw_options,
    layer_options,
    log_ratio_option,
    name_list,
    overwrite_option,
    scheduler_option,
    seed_option,
    setting_option,
    style_option,
    table_options,
)
from .printing import say_findings
from .run_commands import run_until


@click.command()
@click.argument("samples", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--elements",
    callback=name_list,
    help="Columns, comma-separated [default: all that name elements].",
)
@grid_options
@idw_options
@setting_option("grid", "scale", default="linear")
@click.option(
    "--extras",
    callback=name_list,
    help="Further bands: distance (m to the nearest sample), count (samples) [default: none].",
)
@layer_options
@style_option
@scheduler_option
@overwrite_option
def grid(
    samples: Path,
    out: Path,
    elements: list[str] | None,
    style: bool,
    scheduler: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Grid element columns of SAMPLES by inverse-distance weighting; the result is OUT, one band
    each.

    OUT ends in .tif (a cloud-optimised GeoTIFF) or .zarr. It is written block by block, so it may
    be larger than memory; an interrupted command goes on where it stopped when it is repeated.
    SAMPLES may be a table (CSV) with --x --y --crs --xy-unit. Values are cleaned as `check` says.

    Example: geomfaf grid demo/survey.gpkg demo/grid.tif --elements Au_ppb,Cu_ppm --cell 100
    """
    from ..evidence.inverse_distance import idw_to_file
    from ..survey.cleaning.check import clean_samples
    from ..survey.element_choice import select_elements
    from ..survey.read import metric_layer

    output = output_of(out, scheduler, overwrite)
    crs = crs_of_raster(options.get("like"))
    layer = metric_layer(source_of(samples, options, "samples"), crs)
    columns = select_elements(layer, elements)
    cleaned, findings = clean_samples(layer, columns)
    say_findings(findings)
    if not len(cleaned):
        raise DataError(f"{samples.name} has no sample with a place: nothing can be gridded.")
    ground = grid_for(cleaned, options)
    choices = idw_choices(None, None, options, ground)
    made = idw_to_file(
        cleaned,
        list(columns),
        ground,
        units=columns,
        **choices,
        **output,
    )
    _style(made, style)
    click.echo(str(made))


def _style(made: Path, asked: bool) -> None:
    """Write the style of a GeoTIFF, where it is asked for; a Zarr store has none."""
    if asked and made.suffix != ".zarr":
        from ..deliver.qgis.single_files import style_raster

        style_raster(made)


@click.command()
@click.argument("vectors", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--kind",
    default="geology",
    type=click.Choice(["geology", "distance", "cell_distance", "presence", "density"]),
    help="geology: classes; the others for faults: m to the line, m to the nearest cell with a line,"
    " 0/1, km per km2 [default: geology].",
)
@click.option("--column", help="Class column of the geology [default: found by name].")
@setting_option("rasterize", "geology", "--rule", "largest")
@grid_options
@layer_options
@scheduler_option
@overwrite_option
def rasterize(
    vectors: Path,
    out: Path,
    kind: str,
    column: str | None,
    rule: str,
    scheduler: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Rasterize geology polygons or fault lines of VECTORS; the result is OUT, one band, .tif or
    .zarr.

    Example: geomfaf rasterize demo/survey.gpkg demo/distance.tif --kind distance --layer faults
    """
    from ..evidence.vector_bands import vector_to_file

    output = output_of(out, scheduler, overwrite)
    layer = layer_of(vectors, options, "geology" if kind == "geology" else "faults")
    ground = grid_for(layer, options)
    click.echo(
        str(
            vector_to_file(
                layer,
                ground,
                kind,
                column=column,
                rule=rule,
                **output,
            )
        )
    )


@click.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--elements", callback=name_list, help="Columns to grid, comma-separated [default: all usable]."
)
@setting_option("grid", "cell")
@idw_options
@setting_option("grid", "scale")
@table_options("rasterize")
@click.option(
    "--raster",
    "rasters",
    multiple=True,
    metavar="NAME=PATH",
    help="A raster of your own as a band, of any grid and CRS; may be given several times. Kinds,"
    " scales and filters: [[rasters]] in geomfaf.toml.",
)
@log_ratio_option
@click.option("--crs", help="CRS of the files that have none.")
@style_option
@scheduler_option
@overwrite_option
def stack(  # noqa: PLR0913  (click: an argument an option)
    survey: tuple[Path, ...],
    out: Path,
    elements: list[str] | None,
    cell: float | None,
    rasters: tuple[str, ...],
    log_ratio: str | None,
    crs: str | None,
    style: bool,
    scheduler: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Build the stack of SURVEY (a geomfaf.toml, or survey files): elements, geology and faults on
    one grid.

    The result is OUT, .tif (a cloud-optimised GeoTIFF) or .zarr, written block by block: it may be
    larger than memory, and an interrupted command goes on where it stopped when it is repeated.
    Screen elements first: `geomfaf screen`.

    Example: geomfaf stack demo/survey.gpkg demo/stack.tif --elements Ag_ppb,Au_ppb,Cu_ppm --cell
    100
    """
    from ..evidence.stack import stack_to_file, survey_grid
    from ..survey.element_choice import select_elements

    output = output_of(out, scheduler, overwrite)
    project = project_of(survey)
    checked = checked_survey(survey, crs, log_ratio)
    columns = None if elements is None else list(select_elements(checked.samples, elements))
    if cell is None and project is not None:
        cell = project.stage("grid").get("cell")
    ground = survey_grid(checked, cell)
    choices = idw_choices(project, checked, options, ground)
    choices["rasters"] = [*choices.get("rasters", ()), *map(raster_of, rasters)]
    made = stack_to_file(checked, ground, elements=columns, **choices, **output)
    _style(made, style)
    click.echo(str(made))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("deposits", type=EXISTING, required=False)
@click.argument("out", type=NEW, required=False)
@table_options("windows")
@setting_option("folds", "count", "--folds")
@setting_option("folds", "kind", "--fold-kind")
@setting_option("folds", "zones")
@setting_option("folds", "column", "--fold-column")
@setting_option("folds", "block")
@layer_options
@seed_option
@overwrite_option
def windows(
    stack: Path, deposits: Path | None, out: Path | None, overwrite: bool, **options: Any
) -> None:
    """Cut STACK into labelled windows with leak-free spatial folds; the result is OUT, a
    GeoPackage. STACK is read block by block: it may be larger than memory.

    A geomfaf.toml alone, in place of STACK, runs its project up to its windows.

    Example: geomfaf windows demo/stack.tif demo/survey.gpkg demo/windows.gpkg
    """
    from ..deliver.layers import write_layers
    from ..rasters.reader import RasterReader
    from ..survey.read import read_layer
    from ..survey.survey import Source
    from ..windows.assembly import make_windows
    from ..windows.leak_proof import prove_leak_free

    if deposits is None or out is None:
        run_until("stack", stack, overwrite)
        return
    require_geopackage(out)
    refuse_taken([out], overwrite)
    bands = RasterReader(stack)
    points = layer_of(deposits, options, "deposits", bands.grid.crs)
    names = ("kind", "size", "strides", "rule", "negatives", "min_distance", "seed")
    chosen = given_options({name: options[name] for name in names})
    chosen |= given_options({"fold_count": options["folds"], "fold_block": options["block"]})
    chosen |= given_options({name: options[name] for name in ("fold_kind", "fold_column")})
    if options["zones"] is not None:
        chosen["zones"] = read_layer(Source(options["zones"]))
    cut, split = make_windows(bands, points, **chosen)
    for row in prove_leak_free(cut, split).itertuples():
        trained = f"trains on {row.train} windows ({row.train_ore} ore)"
        tested = f"tested on {row.test} ({row.test_ore} ore)"
        say(f"fold {row.fold}: {trained}, {row.gap} cells from its ground; {tested}")
    layers = {"windows": cut, "folds": split.blocks()}
    click.echo(str(write_layers(layers, out, overwrite=overwrite)))


EVIDENCE_COMMANDS = (grid, rasterize, stack, windows)
