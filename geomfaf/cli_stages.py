"""The stages of a run as commands of their own, from gridding to targets. Heavy packages are imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .cli_inputs import (
    grid_for,
    in_composition,
    layer_of,
    output_of,
    print_table,
    say_findings,
    search_of,
    settings_of,
    source_of,
    stack_choices_of,
    survey_of,
    whole_number,
)
from .cli_options import (
    EXISTING,
    NEW,
    device_option,
    grid_options,
    idw_options,
    json_option,
    log_ratio_option,
    name_list,
    network_options,
    overwrite_option,
    scheduler_option,
    seed_option,
    stride_option,
    table_options,
    uncertainty_options,
)
from .cli_pretrain import pretrain
from .errors import DataError


@click.command()
@click.argument("samples", type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--elements", callback=name_list, help="Columns, comma-separated [default: all that name elements].")
@grid_options
@idw_options
@click.option("--scale", type=click.Choice(["linear", "log"]), default="linear", show_default=True,
              help="log: weight log10 of the values.")  # fmt: skip
@click.option(
    "--extras", callback=name_list, help="Further bands: distance (m to the nearest sample), count (samples)."
)
@table_options
@scheduler_option
@overwrite_option
def grid(
    samples: Path, out: Path, elements: list[str] | None, scheduler: str | None, overwrite: bool, **options: Any
) -> None:
    """Grid element columns of SAMPLES by inverse-distance weighting; the result is OUT, one band each.

    OUT ends in .tif (a cloud-optimised GeoTIFF) or .zarr. It is written block by block, so it may be larger than
    memory; an interrupted command goes on where it stopped when it is repeated. SAMPLES may be a table (CSV) with
    --x --y --crs --xy-unit. Values are cleaned as `check` says.

    Example: geomfaf grid demo/survey.gpkg demo/grid.tif --elements Au_ppb,Cu_ppm --cell 100
    """
    from .check import clean_samples
    from .idw import idw_to_file
    from .read import metric_layer, select_elements

    output = output_of(out, scheduler, overwrite)
    layer = metric_layer(source_of(samples, options, "samples"))
    columns = select_elements(layer, elements)
    cleaned, findings = clean_samples(layer, columns)
    say_findings(findings)
    if not len(cleaned):
        raise DataError(f"{samples.name} has no sample with a place: nothing can be gridded.")
    ground = grid_for(cleaned, options)
    click.echo(str(idw_to_file(cleaned, list(columns), ground, units=columns, **search_of(options, ground), **output)))


@click.command()
@click.argument("vectors", type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--kind", default="geology", show_default=True,
              type=click.Choice(["geology", "distance", "cell_distance", "presence", "density"]),
              help="geology: classes; the others for faults: m to the line, m to the nearest cell with a line, 0/1, "
                   "km per km2.")  # fmt: skip
@click.option("--column", help="Class column of the geology [default: found by name].")
@click.option("--rule", type=click.Choice(["largest", "centre"]), default="largest", show_default=True,
              help="Class with the largest share of the cell, or at its centre.")  # fmt: skip
@grid_options
@table_options
@scheduler_option
@overwrite_option
def rasterize(
    vectors: Path, out: Path, kind: str, column: str | None, rule: str, scheduler: str | None, overwrite: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Rasterize geology polygons or fault lines of VECTORS; the result is OUT, one band, .tif or .zarr.

    Example: geomfaf rasterize demo/survey.gpkg demo/distance.tif --kind distance --layer faults
    """
    from .stack import vector_to_file

    output = output_of(out, scheduler, overwrite)
    role = "geology" if kind == "geology" else "faults"
    layer = layer_of(vectors, options, role)
    click.echo(str(vector_to_file(layer, grid_for(layer, options), kind, column=column, rule=rule, **output)))


@click.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--elements", callback=name_list, help="Columns to grid, comma-separated [default: all usable].")
@click.option("--cell", type=float, help="Cell size in metres [default: round, 500 to 1,000 cells a side].")
@idw_options
@click.option("--scale", type=click.Choice(["log", "linear"]), default="log", show_default=True,
              help="log: weight log10 of the values.")  # fmt: skip
@click.option("--geology", type=click.Choice(["largest", "centre"]), default="largest", show_default=True,
              help="Class with the largest share of the cell, or at its centre.")  # fmt: skip
@click.option("--faults", callback=name_list, default="distance", show_default=True,
              help="Fault bands, comma-separated: distance, cell_distance, presence, density.")  # fmt: skip
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
    """Build the stack of SURVEY (a geomfaf.toml, or survey files): elements, geology and faults on one grid.

    The result is OUT, .tif (a cloud-optimised GeoTIFF) or .zarr, written block by block: it may be larger than memory,
    and an interrupted command goes on where it stopped when it is repeated. Screen elements first: `geomfaf screen`.

    Example: geomfaf stack demo/survey.gpkg demo/stack.tif --elements Ag_ppb,Au_ppb,Cu_ppm --cell 100
    """
    from .check import check_survey
    from .findings import require_accepted
    from .read import select_elements
    from .stack import stack_to_file, survey_grid

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
@click.option("--kind", type=click.Choice(["centred", "tiled"]), default="centred", show_default=True,
              help="centred: on deposits and random barren ground; tiled: the whole map, the paper's.")  # fmt: skip
@click.option("--size", default=16, show_default=True, help="Cells along a window.")
@click.option(
    "--strides", callback=name_list, help="tiled: cells from window to window, one or several [default: size]."
)
@click.option("--negatives", default=4.0, show_default=True, help="centred: barren windows for each deposit.")
@click.option("--rule", default="distance", show_default=True,
              help="centred: barren by distance, random, environment, unlabelled or geology.")  # fmt: skip
@click.option("--min-distance", type=int, help="centred: cells from barren centres to deposits [default: size].")
@click.option("--folds", type=int, help="Spatial folds [default: 5, or one a cluster of fewer than 20 deposits].")
@click.option("--fold-kind", type=click.Choice(["blocks", "clusters", "checkerboard"]), help="[default: blocks]")
@click.option("--zones", type=EXISTING, help="Polygons, one a fold, instead of blocks.")
@click.option("--block", type=int, help="Cells along a fold's block [default: the bands' variogram range].")
@table_options
@seed_option
@overwrite_option
def windows(
    stack: Path, deposits: Path, out: Path, zones: Path | None, block: int | None, overwrite: bool, **options: Any
) -> None:
    """Cut STACK into labelled windows with leak-free spatial folds; the result is OUT, a GeoPackage.

    Example: geomfaf windows demo/stack.tif demo/survey.gpkg demo/windows.gpkg
    """
    from .bands import grid_of
    from .folds import prove_leak_free, spatial_folds
    from .negatives import draw_windows
    from .read import Source, read_layer
    from .stack import valid_cells
    from .variogram import autocorrelation_range
    from .windows import centred_windows, tiled_windows
    from .write import read_raster, refuse_existing, write_layers

    refuse_existing(out, overwrite)
    bands = read_raster(stack)
    ground, valid = grid_of(bands), valid_cells(bands)
    points = layer_of(deposits, options, "deposits", ground.crs)
    seed, size = options["seed"], options["size"]
    if options["kind"] == "tiled":
        strides = [whole_number(text, "--strides") for text in options["strides"]] if options["strides"] else None
        cut = tiled_windows(ground, size, strides=strides, deposits=points, valid=valid)
    else:
        cut = centred_windows(ground, size, points, valid, negatives=0)
    dealt: dict[str, Any] = {"count": options["folds"], "kind": options["fold_kind"], "block": block, "seed": seed}
    dealt["zones"] = None if zones is None else read_layer(Source(zones)).to_crs(ground.crs)
    split = spatial_folds(cut, ground, valid, autocorrelation=autocorrelation_range(bands, seed=seed), **dealt)
    if options["kind"] == "centred":
        barren = {key: options[key] for key in ("rule", "negatives", "min_distance")}
        cut = draw_windows(cut, split, bands, seed=seed, **barren)
    for row in prove_leak_free(cut, split).itertuples():
        trained = f"trains on {row.train} windows ({row.train_ore} ore), {row.gap} cells from its ground"
        click.echo(f"fold {row.fold}: {trained}; tested on {row.test} ({row.test_ore} ore)", err=True)
    cut["fold"] = split.of_windows(cut) + 1
    click.echo(str(write_layers({"windows": cut, "folds": split.blocks()}, out, overwrite=overwrite)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("windows", type=EXISTING)
@click.argument("out", type=NEW)
@network_options
@click.option("--weights", type=EXISTING,
              help="Begin with a folder of `pretrain`, another survey's model, or torchvision's .pth.")  # fmt: skip
@click.option("--pretrain", type=int, help="Steps of pretraining inside each fold, on its own ground [default: 0].")
@device_option
@seed_option
@overwrite_option
def train(
    stack: Path, windows: Path, out: Path, preset: str, device: str, seed: int, overwrite: bool, **changes: Any
) -> None:
    """Train MFAF on STACK and WINDOWS, one network a fold; the result is OUT, a folder with the model.

    All bands of STACK are used. When deposits chose them (`screen`), the held-out figures flatter; `run` screens inside
    the folds.

    With several graphics cards: torchrun --nproc-per-node 2 --no-python geomfaf train ...; each trains its own folds.

    Example: geomfaf train demo/stack.tif demo/windows.gpkg demo/model
    """
    from .bands import grid_of
    from .explain import factor_attention
    from .folds import read_folds
    from .model import train_model
    from .model_files import save_model
    from .processes import process_group
    from .recipe import training_options
    from .write import read_raster, refuse_existing, write_table

    refuse_existing(out / "model.json", overwrite)
    bands = read_raster(stack)
    labelled, folds = read_folds(windows, grid_of(bands))
    changes["weights"] = changes["weights"] and str(changes["weights"])
    options = training_options(preset, **{key: value for key, value in changes.items() if value is not None})
    click.echo("note: the bands are used as they are; if deposits chose them, the held-out scores flatter", err=True)
    with process_group() as writes:
        model = train_model(bands, labelled, folds, options=options, seed=seed, device=device)
        if writes:
            save_model(model, out, overwrite=overwrite)
            write_table(factor_attention(model, bands, labelled), out / "attention.csv", overwrite=overwrite)
            click.echo(str(out))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("model", type=EXISTING)
@click.argument("out", type=NEW)
@stride_option
@uncertainty_options
@device_option
@overwrite_option
def predict(stack: Path, model: Path, out: Path, device: str, overwrite: bool, **options: Any) -> None:
    """Score every cell of STACK with MODEL; the result is OUT: score, held-out score, spread, vote share.

    Example: geomfaf predict demo/stack.tif demo/model demo/scores.tif
    """
    from .model_files import load_model
    from .predict import predict_scores
    from .write import read_raster, refuse_existing, write_raster

    refuse_existing(out, overwrite)
    scores = predict_scores(load_model(model, device=device), read_raster(stack), **options)
    click.echo(str(write_raster(scores, out, overwrite=overwrite)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.option("--categorical", callback=name_list, default="", help="Bands whose classes are weighed one by one.")
@click.option("--ascending", callback=name_list, default="", help="Bands whose low values are favourable.")
@click.option("--descending", callback=name_list, default="", help="Bands whose high values are favourable.")
@click.option("--unit-area", type=float, help="km2 that hold at most one deposit [default: a cell].")
@click.option("--band", help="Print every cut of this band instead of the best one of all.")
@click.option("--out", type=NEW, help="Also write the posterior probability as GeoTIFF.")
@table_options
@json_option
@overwrite_option
def weights(
    stack: Path, deposits: Path, unit_area: float | None, band: str | None, out: Path | None,
    as_json: bool, overwrite: bool, **options: Any,
) -> None:  # fmt: skip
    """Print the weights of evidence of every band of STACK for DEPOSITS: where it is cut, W+, W-, contrast.

    By default class bands are categorical, distances ascending and all others descending. The same deposits make the
    weights and the map: for figures on ground that it never saw see `evaluate`.

    Example: geomfaf weights demo/stack.tif demo/survey.gpkg
    """
    from .bands import grid_of
    from .errors import UsageError, nearest_name
    from .progress import say
    from .weights_of_evidence import METHODS, weigh_evidence
    from .write import read_raster, refuse_existing, write_raster

    if out:
        refuse_existing(out, overwrite)
    bands = read_raster(stack)
    points = layer_of(deposits, options, "deposits", grid_of(bands).crs)
    methods = {name: method for method in METHODS for name in options[method]}
    found = weigh_evidence(bands, points, methods=methods, unit_area=unit_area)
    if band is not None and band not in found.tables:
        raise UsageError(f'the stack has no band "{band}".{nearest_name(band, found.tables)}')
    print_table(found.summary() if band is None else found.tables[band], as_json)
    test = found.independence
    counts = "{deposits:.0f} deposits, the posterior expects {expected:.1f} (ratio {ratio:.2f})".format(**test)
    say(f"{counts}; bands independent given the deposits: p = {test['p']:.2g} (Agterberg and Cheng)")
    if out:
        say(f"made {write_raster(found.posterior, out, overwrite=overwrite)}")


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("windows", type=EXISTING)
@click.argument("model", type=EXISTING)
@click.argument("scores", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.option("--protocol", type=click.Choice(["spatial", "paper"]), default="spatial", show_default=True,
              help="paper: adds the row of the paper's protocol, which leaks.")  # fmt: skip
@click.option("--out", type=NEW, help="Also write the table as CSV.")
@stride_option
@table_options
@json_option
@overwrite_option
def evaluate(
    stack: Path,
    windows: Path,
    model: Path,
    scores: Path,
    deposits: Path,
    protocol: str,
    out: Path | None,
    as_json: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Print how good a map is on ground its models never saw, beside the simplest rivals, and a verdict.

    One draw of barren windows, no optimism meter and no null test: `run` adds them.

    Example: geomfaf evaluate demo/stack.tif demo/windows.gpkg demo/model demo/scores.tif demo/survey.gpkg
    """
    import pandas as pd

    from .evaluate import evaluate_model, evaluate_paper_protocol
    from .folds import read_folds
    from .model_files import load_model
    from .report import map_rows, window_rows
    from .write import read_raster, write_table

    bands, trained = read_raster(stack), load_model(model)
    trained.require_stack(bands)
    labelled, _ = read_folds(windows, trained.folds.grid)
    points = layer_of(deposits, options, "deposits", trained.folds.grid.crs)
    result = evaluate_model(trained, bands, labelled, points, read_raster(scores), stride=options["stride"])
    table = result.table
    if protocol == "paper":
        leaky = evaluate_paper_protocol(bands, labelled, options=trained.options, seed=trained.seed)
        table = pd.concat([table, leaky], ignore_index=True)
        click.echo("the paper's protocol balances before it splits: its row leaks", err=True)
    for shown in [table] if as_json else [map_rows(table), window_rows(table)]:
        print_table(shown, as_json)
    for line in result.verdict:
        click.echo(line, err=True)
    if out:
        write_table(table, out, overwrite=overwrite)


@click.command()
@click.argument("scores", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--stack", type=EXISTING, help="Stack with a geology band: the commonest class of each target.")
@click.option("--faults", type=EXISTING, help="Fault lines: the distance from each target to the nearest.")
@click.option("--area-share", default=0.05, show_default=True, help="Share of the valid area, best ground first.")
@click.option("--threshold", type=float, help="Score above which ground is a target, instead of --area-share.")
@click.option("--by", type=click.Choice(["score", "vote"]), default="score", show_default=True,
              help="vote: where a majority of the branches votes ore.")  # fmt: skip
@click.option("--min-cells", default=16, show_default=True, help="Smaller polygons are left out.")
@click.option("--size", default=16, show_default=True, help="Cells along the numbered window cells.")
@table_options
@overwrite_option
def targets(
    scores: Path,
    deposits: Path,
    out: Path,
    stack: Path | None,
    faults: Path | None,
    size: int,
    overwrite: bool,
    **options: Any,
) -> None:
    """Turn SCORES into ranked target polygons and numbered cells; the result is OUT, a GeoPackage, and a CSV beside.

    Example: geomfaf targets demo/scores.tif demo/survey.gpkg demo/targets.gpkg --faults demo/survey.gpkg
    """
    from .bands import grid_of
    from .targets import make_cells, make_targets
    from .write import read_raster, refuse_existing, write_layers, write_table

    for path in (out, out.with_suffix(".csv")):
        refuse_existing(path, overwrite)
    bands = read_raster(scores)
    crs = grid_of(bands).crs
    points = layer_of(deposits, options, "deposits", crs)
    lines = layer_of(faults, {}, "faults", crs) if faults else None
    evidence = read_raster(stack) if stack else None
    chosen = {key: options[key] for key in ("area_share", "threshold", "by", "min_cells")}
    found = make_targets(bands, points, stack=evidence, faults=lines, **chosen)
    layers = {"targets": found, "cells": make_cells(bands, size, points), "deposits": points}
    write_layers(layers, out, overwrite=overwrite)
    write_table(found.drop(columns="geometry"), out.with_suffix(".csv"), overwrite=overwrite)
    click.echo(str(out))


STAGES = (grid, rasterize, stack, windows, pretrain, train, predict, weights, evaluate, targets)
