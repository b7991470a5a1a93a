"""Training, prediction, judgement and targets as commands of their own. Heavy packages are imported
inside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import ModelMismatchError
from .inputs import layer_of, print_table
from .options import (
    EXISTING,
    NEW,
    device_option,
    json_option,
    name_list,
    network_options,
    overwrite_option,
    seed_option,
    stride_option,
    table_options,
    uncertainty_options,
)


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("out", type=NEW)
@click.option("--size", default=16, show_default=True, help="Cells along a window.")
@click.option(
    "--backbone",
    default="compact",
    show_default=True,
    help="compact, resnet18, shufflenet_v2, googlenet, mobilenet_v2 or mnasnet.",
)
@click.option("--steps", default=300, show_default=True, help="Batches of 64 windows.")
@device_option
@seed_option
@overwrite_option
def pretrain(
    stack: Path,
    out: Path,
    size: int,
    backbone: str,
    steps: int,
    device: str,
    seed: int,
    overwrite: bool,
) -> None:
    """Pretrain a network on STACK without labels, by filling in hidden cells of windows anywhere on
    it.

    The result is OUT, a folder of weights for `geomfaf train --weights OUT`. The bands of all
    ground are seen, of later test ground too; deposits never are. `train --pretrain 300` pretrains
    inside the folds and sees neither.

    Example: geomfaf pretrain demo/stack.tif demo/pretrained
    """
    from ..files import refuse_existing
    from ..models.network.options import training_options
    from ..models.network.pretrain import PRETRAINED, pretrain_network, save_pretrained
    from ..rasters.geotiff import read_raster

    refuse_existing(out / PRETRAINED, overwrite)
    options = training_options(backbone=backbone)
    found = pretrain_network(
        read_raster(stack), size=size, options=options, steps=steps, seed=seed, device=device
    )
    click.echo(str(save_pretrained(found, out, overwrite=overwrite)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("windows", type=EXISTING)
@click.argument("out", type=NEW)
@network_options
@click.option(
    "--weights",
    type=EXISTING,
    help="Begin with a folder of `pretrain`, another survey's model, or torchvision's .pth.",
)
@click.option(
    "--pretrain",
    type=int,
    help="Steps of pretraining inside each fold, on its own ground [default: 0].",
)
@device_option
@seed_option
@overwrite_option
def train(
    stack: Path,
    windows: Path,
    out: Path,
    preset: str,
    device: str,
    seed: int,
    overwrite: bool,
    **changes: Any,
) -> None:
    """Train MFAF on STACK and WINDOWS, one network a fold; the result is OUT, a folder with the
    model.

    All bands of STACK are used. When deposits chose them (`screen`), the held-out figures flatter;
    `run` screens inside the folds.

    With several graphics cards: torchrun --nproc-per-node 2 --no-python geomfaf train ...; each
    trains its own folds.

    Example: geomfaf train demo/stack.tif demo/windows.gpkg demo/model
    """
    from ..files import make_folder, refuse_existing, write_table
    from ..models.attention import factor_attention
    from ..models.fold_models import train_model
    from ..models.model_files import save_model
    from ..models.network.distributed import process_group
    from ..models.network.options import training_options
    from ..rasters.bands import grid_of
    from ..rasters.geotiff import read_raster
    from ..windows.folds import read_folds

    for name in ("model.json", "weights.safetensors", "partners.safetensors", "attention.csv"):
        refuse_existing(out / name, overwrite)
    make_folder(out)
    bands = read_raster(stack)
    labelled, folds = read_folds(windows, grid_of(bands))
    changes["weights"] = changes["weights"] and str(changes["weights"])
    options = training_options(
        preset, **{key: value for key, value in changes.items() if value is not None}
    )
    click.echo(
        "note: the bands are used as they are; if deposits chose them, the held-out scores flatter",
        err=True,
    )
    with process_group() as writes:
        model = train_model(bands, labelled, folds, options=options, seed=seed, device=device)
        if writes:
            save_model(model, out, overwrite=overwrite)
            write_table(
                factor_attention(model, bands, labelled), out / "attention.csv", overwrite=overwrite
            )
            click.echo(str(out))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("model", type=EXISTING)
@click.argument("out", type=NEW)
@stride_option
@uncertainty_options
@device_option
@overwrite_option
def predict(
    stack: Path, model: Path, out: Path, device: str, overwrite: bool, **options: Any
) -> None:
    """Score every cell of STACK with MODEL; the result is OUT: score, held-out score, spread, vote
    share.

    Example: geomfaf predict demo/stack.tif demo/model demo/scores.tif
    """
    from ..files import refuse_existing
    from ..models.model_files import load_model
    from ..models.predict import predict_scores
    from ..rasters.geotiff import read_raster, require_geotiff, write_raster

    refuse_existing(out, overwrite)
    require_geotiff(out)
    scores = predict_scores(load_model(model, device=device), read_raster(stack), **options)
    click.echo(str(write_raster(scores, out, overwrite=overwrite)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.option(
    "--categorical",
    callback=name_list,
    default="",
    help="Bands whose classes are weighed one by one.",
)
@click.option(
    "--ascending", callback=name_list, default="", help="Bands whose low values are favourable."
)
@click.option(
    "--descending", callback=name_list, default="", help="Bands whose high values are favourable."
)
@click.option(
    "--unit-area", type=float, help="km2 that hold at most one deposit [default: a cell]."
)
@click.option("--band", help="Print every cut of this band instead of the best one of all.")
@click.option("--out", type=NEW, help="Also write the posterior probability as GeoTIFF.")
@table_options
@json_option
@overwrite_option
def weights(
    stack: Path,
    deposits: Path,
    unit_area: float | None,
    band: str | None,
    out: Path | None,
    as_json: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Print the weights of evidence of every band of STACK for DEPOSITS: where it is cut, W+, W-,
    contrast.

    By default class bands are categorical, distances ascending and all others descending. The same
    deposits make the weights and the map: for figures on ground that it never saw see `evaluate`.

    Example: geomfaf weights demo/stack.tif demo/survey.gpkg
    """
    from ..errors import UsageError, nearest_name
    from ..files import refuse_existing
    from ..models.weights_of_evidence import METHODS, weigh_evidence
    from ..progress import say
    from ..rasters.bands import grid_of
    from ..rasters.geotiff import read_raster, require_geotiff, write_raster

    if out:
        refuse_existing(out, overwrite)
        require_geotiff(out)
    bands = read_raster(stack)
    points = layer_of(deposits, options, "deposits", grid_of(bands).crs)
    methods = {name: method for method in METHODS for name in options[method]}
    found = weigh_evidence(bands, points, methods=methods, unit_area=unit_area)
    if band is not None and band not in found.tables:
        raise UsageError(f'the stack has no band "{band}".{nearest_name(band, found.tables)}')
    print_table(found.summary() if band is None else found.tables[band], as_json)
    test = found.independence
    counts = (
        "{deposits:.0f} deposits, the posterior expects {expected:.1f} (ratio {ratio:.2f})".format(
            **test
        )
    )
    say(
        f"{counts}; bands independent given the deposits: p = {test['p']:.2g} (Agterberg and Cheng)"
    )
    if out:
        say(f"made {write_raster(found.posterior, out, overwrite=overwrite)}")


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("windows", type=EXISTING)
@click.argument("model", type=EXISTING)
@click.argument("scores", type=EXISTING)
@click.argument("deposits", type=EXISTING)
@click.option(
    "--protocol",
    type=click.Choice(["spatial", "paper"]),
    default="spatial",
    show_default=True,
    help="paper: adds the row of the paper's protocol, which leaks.",
)
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
    """Print how good a map is on ground its models never saw, beside the simplest rivals, and a
    verdict.

    One draw of barren windows, no optimism meter and no null test: `run` adds them.

    Example: geomfaf evaluate demo/stack.tif demo/windows.gpkg demo/model demo/scores.tif
    demo/survey.gpkg
    """
    import pandas as pd

    from ..deliver.report.tables import map_rows, window_rows
    from ..evaluation.evaluate import evaluate_model, evaluate_paper_protocol
    from ..files import write_table
    from ..models.model_files import load_model
    from ..rasters.geotiff import read_raster
    from ..windows.folds import read_folds

    bands = read_raster(stack)
    trained = load_model(model)
    trained.require_stack(bands)
    labelled, folds = read_folds(windows, trained.folds.grid)
    if not folds.same_split(trained.folds):
        raise ModelMismatchError(
            f"the folds in {windows} are not those of {model}: give the windows that trained it."
        )
    points = layer_of(deposits, options, "deposits", trained.folds.grid.crs)
    result = evaluate_model(
        trained, bands, labelled, points, read_raster(scores), stride=options["stride"]
    )
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
@click.option(
    "--stack", type=EXISTING, help="Stack with a geology band: the commonest class of each target."
)
@click.option(
    "--faults", type=EXISTING, help="Fault lines: the distance from each target to the nearest."
)
@click.option(
    "--area-share",
    default=0.05,
    show_default=True,
    help="Share of the valid area, best ground first.",
)
@click.option(
    "--threshold", type=float, help="Score above which ground is a target, instead of --area-share."
)
@click.option(
    "--by",
    type=click.Choice(["score", "vote"]),
    default="score",
    show_default=True,
    help="vote: where a majority of the branches votes ore.",
)
@click.option("--min-cells", default=16, show_default=True, help="Smaller polygons are left out.")
@click.option(
    "--size", default=16, show_default=True, help="Cells along the numbered window cells."
)
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
    """Turn SCORES into ranked target polygons and numbered cells; the result is OUT, a GeoPackage,
    and a CSV beside.

    Example: geomfaf targets demo/scores.tif demo/survey.gpkg demo/targets.gpkg --faults
    demo/survey.gpkg
    """
    from ..deliver.layers import write_layers
    from ..deliver.targets import make_cells, make_targets, placed_deposits
    from ..files import refuse_existing, write_table
    from ..rasters.bands import grid_of
    from ..rasters.geotiff import read_raster

    for path in (out, out.with_suffix(".csv")):
        refuse_existing(path, overwrite)
    bands = read_raster(scores)
    crs = grid_of(bands).crs
    points = layer_of(deposits, options, "deposits", crs)
    lines = layer_of(faults, {}, "faults", crs) if faults else None
    evidence = read_raster(stack) if stack else None
    chosen = {key: options[key] for key in ("area_share", "threshold", "by", "min_cells")}
    found = make_targets(bands, points, stack=evidence, faults=lines, **chosen)
    layers = {
        "targets": found,
        "cells": make_cells(bands, size, points),
        "deposits": placed_deposits(bands, points, found),
    }
    write_layers(layers, out, overwrite=overwrite)
    write_table(found.drop(columns="geometry"), out.with_suffix(".csv"), overwrite=overwrite)
    click.echo(str(out))


MODEL_STAGES = (pretrain, train, predict, weights, evaluate, targets)
