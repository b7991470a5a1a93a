"""Gridding, rasterizing, stacking and windows as commands of their own. Heavy packages are imported
inside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import DataError
from .inputs import (
    grid_for,
    in_composition,
    layer_of,
    output_of,
    say_findings,
    search_of,
    settings_of,
    source_of,
    stack_choices_of,
    survey_of,
    whole_number,
)
from .options import (
    EXISTING,
    NEW,
    grid_options,
    idw_options,
    log_ratio_option,
    name_list,
    overwrite_option,
    scheduler_option,
    seed_option,
    table_options,
)


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
@click.option(
    "--scale",
    type=click.Choice(["linear", "log"]),
    default="linear",
    show_default=True,
    help="log: weight log10 of the values.",
)
@click.option(
    "--extras",
    callback=name_list,
    help="Further bands: distance (m to the nearest sample), count (samples).",
)
@table_options
@scheduler_option
@overwrite_option
def grid(
    samples: Path,
    out: Path,
    elements: list[str] | None,
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
    from ..survey.read import metric_layer, select_elements

    output = output_of(out, scheduler, overwrite)
    layer = metric_layer(source_of(samples, options, "samples"))
    columns = select_elements(layer, elements)
    cleaned, findings = clean_samples(layer, columns)
    say_findings(findings)
    if not len(cleaned):
        raise DataError(f"{samples.name} has no sample with a place: nothing can be gridded.")
    ground = grid_for(cleaned, options)
    click.echo(
        str(
            idw_to_file(
                cleaned,
                list(columns),
                ground,
                units=columns,
                **search_of(options, ground),
                **output,
            )
        )
    )


@click.command()
@click.argument("vectors", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--kind",
    default="geology",
    show_default=True,
    type=click.Choice(["geology", "distance", "cell_distance", "presence", "density"]),
    help="geology: classes; the others for faults: m to the line, m to the nearest cell with a line, 0/1, "
    "km per km2.",
)
@click.option("--column", help="Class column of the geology [default: found by name].")
@click.option(
    "--rule",
    type=click.Choice(["largest", "centre"]),
    default="largest",
    show_default=True,
    help="Class with the largest share of the cell, or at its centre.",
)
@grid_options
@table_options
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
    from ..evidence.stack import vector_to_file

    output = output_of(out, scheduler, overwrite)
    role = "geology" if kind == "geology" else "faults"
    layer = layer_of(vectors, options, role)
    click.echo(
        str(
            vector_to_file(
                layer, grid_for(layer, options), kind, column=column, rule=rule, **output
            )
        )
    )


@click.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--elements", callback=name_list, help="Columns to grid, comma-separated [default: all usable]."
)
@click.option(
    "--cell", type=float, help="Cell size in metres [default: round, 500 to 1,000 cells a side]."
)
@idw_options
@click.option(
    "--scale",
    type=click.Choice(["log", "linear"]),
    default="log",
    show_default=True,
    help="log: weight log10 of the values.",
)
@click.option(
    "--geology",
    type=click.Choice(["largest", "centre"]),
    default="largest",
    show_default=True,
    help="Class with the largest share of the cell, or at its centre.",
)
@click.option(
    "--faults",
    callback=name_list,
    default="distance",
    show_default=True,
    help="Fault bands, comma-separated: distance, cell_distance, presence, density.",
)
@log_ratio_option
@click.option("--crs", help="CRS of the files that have none.")
@scheduler_option
@overwrite_option
def stack(
    survey: tuple[Path, ...],
    out: Path,
    elements: list[str] | None,
    cell: float | None,
    log_ratio: str | None,
    crs: str | None,
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
    from ..survey.cleaning.check import check_survey
    from ..survey.cleaning.findings import require_accepted
    from ..survey.read import select_elements

    output = output_of(out, scheduler, overwrite)
    checked, findings = check_survey(survey_of(survey, crs), **settings_of(survey, "check"))
    require_accepted(findings)
    say_findings(findings)
    checked = in_composition(checked, survey, log_ratio)
    columns = None if elements is None else list(select_elements(checked.samples, elements))
    ground = survey_grid(checked, cell or settings_of(survey, "grid").get("cell"))
    choices = stack_choices_of(survey, checked, options, ground)
    click.echo(str(stack_to_file(checked, ground, elements=columns, **choices, **output)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.argument("out", type=NEW)
@click.option(
    "--kind",
    type=click.Choice(["centred", "tiled"]),
    default="centred",
    show_default=True,
    help="centred: on deposits and random barren ground; tiled: the whole map, the paper's.",
)
@click.option("--size", default=16, show_default=True, help="Cells along a window.")
@click.option(
    "--strides",
    callback=name_list,
    help="tiled: cells from window to window, one or several [default: size].",
)
@click.option(
    "--negatives", default=4.0, show_default=True, help="centred: barren windows for each deposit."
)
@click.option(
    "--rule",
    default="distance",
    show_default=True,
    help="centred: barren by distance, random, environment, unlabelled or geology.",
)
@click.option(
    "--min-distance",
    type=int,
    help="centred: cells from barren centres to deposits [default: size].",
)
@click.option(
    "--folds",
    type=int,
    help="Spatial folds [default: 5, or one a cluster of fewer than 20 deposits].",
)
@click.option(
    "--fold-kind",
    type=click.Choice(["blocks", "clusters", "checkerboard"]),
    help="[default: blocks]",
)
@click.option("--zones", type=EXISTING, help="Polygons, one a fold, instead of blocks.")
@click.option(
    "--block", type=int, help="Cells along a fold's block [default: the bands' variogram range]."
)
@table_options
@seed_option
@overwrite_option
def windows(
    stack: Path,
    deposits: Path,
    out: Path,
    zones: Path | None,
    block: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Cut STACK into labelled windows with leak-free spatial folds; the result is OUT, a
    GeoPackage.

    Example: geomfaf windows demo/stack.tif demo/survey.gpkg demo/windows.gpkg
    """
    from ..deliver.layers import write_layers
    from ..files import refuse_existing
    from ..rasters.bands import grid_of, valid_cells
    from ..rasters.geotiff import read_raster
    from ..survey.read import read_layer
    from ..survey.survey import Source
    from ..windows.folds import prove_leak_free, spatial_folds
    from ..windows.negatives import draw_windows
    from ..windows.variogram import autocorrelation_range
    from ..windows.windows import centred_windows, tiled_windows

    refuse_existing(out, overwrite)
    bands = read_raster(stack)
    ground = grid_of(bands)
    valid = valid_cells(bands)
    points = layer_of(deposits, options, "deposits", ground.crs)
    seed = options["seed"]
    size = options["size"]
    if options["kind"] == "tiled":
        strides = (
            [whole_number(text, "--strides") for text in options["strides"]]
            if options["strides"]
            else None
        )
        cut = tiled_windows(ground, size, strides=strides, deposits=points, valid=valid)
    else:
        cut = centred_windows(ground, size, points, valid, negatives=0)
    dealt: dict[str, Any] = {
        "count": options["folds"],
        "kind": options["fold_kind"],
        "block": block,
        "seed": seed,
    }
    dealt["zones"] = None if zones is None else read_layer(Source(zones)).to_crs(ground.crs)
    split = spatial_folds(
        cut, ground, valid, autocorrelation=autocorrelation_range(bands, seed=seed), **dealt
    )
    if options["kind"] == "centred":
        barren = {key: options[key] for key in ("rule", "negatives", "min_distance")}
        cut = draw_windows(cut, split, bands, seed=seed, **barren)
    for row in prove_leak_free(cut, split).itertuples():
        trained = (
            f"trains on {row.train} windows ({row.train_ore} ore), {row.gap} cells from its ground"
        )
        click.echo(
            f"fold {row.fold}: {trained}; tested on {row.test} ({row.test_ore} ore)", err=True
        )
    cut["fold"] = split.of_windows(cut) + 1
    click.echo(
        str(write_layers({"windows": cut, "folds": split.blocks()}, out, overwrite=overwrite))
    )


STACK_STAGES = (grid, rasterize, stack, windows)
