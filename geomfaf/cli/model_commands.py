"""Training, prediction and judgement as commands. Heavy packages are imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ModelMismatchError, UsageError
from ..progress import say
from .inputs import given_options, layer_of, output_of, refuse_taken
from .options import (
    EXISTING,
    NEW,
    PROJECT,
    device_option,
    json_option,
    layer_options,
    name_list,
    network_options,
    overwrite_option,
    scheduler_option,
    seed_option,
    setting_option,
    stride_option,
    table_options,
)
from .printing import print_table, say_lines
from .run_commands import run_until

if TYPE_CHECKING:  # only named here: commands import what is heavy when they run
    from geopandas import GeoDataFrame

    from ..models.fold_models import Model


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("out", type=NEW)
@setting_option("windows", "size")
@setting_option("train", "backbone")
@click.option("--steps", type=click.IntRange(1), help="Batches of 64 windows [default: 300].")
@device_option
@seed_option
@overwrite_option
def pretrain(stack: Path, out: Path, backbone: str | None, overwrite: bool, **options: Any) -> None:
    """Pretrain a network on STACK without labels, by filling in hidden cells of windows anywhere on
    it.

    The result is OUT, a folder of weights for `geomfaf train --weights OUT`. The bands of all
    ground are seen, of later test ground too; deposits never are. `train --pretrain 300` pretrains
    inside the folds and sees neither.

    Example: geomfaf pretrain demo/stack.tif demo/pretrained
    """
    from ..models.network.options import training_options
    from ..models.network.pretrain import PRETRAINED, pretrain_network, save_pretrained
    from ..rasters.reader import RasterReader

    refuse_taken([out / PRETRAINED], overwrite)
    training = training_options(**given_options({"backbone": backbone}))
    found = pretrain_network(RasterReader(stack), options=training, **given_options(options))
    click.echo(str(save_pretrained(found, out, overwrite=overwrite)))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("windows", type=EXISTING, required=False)
@click.argument("out", type=NEW, required=False)
@network_options
@device_option
@seed_option
@overwrite_option
def train(
    stack: Path,
    windows: Path | None,
    out: Path | None,
    preset: str | None,
    device: str | None,
    seed: int | None,
    overwrite: bool,
    **changes: Any,
) -> None:
    """Train MFAF on STACK and WINDOWS, one network a fold; the result is OUT, a folder with the
    model.

    A geomfaf.toml alone, in place of STACK, runs its project up to its model. All bands of STACK
    are used. When deposits chose them (`screen`), the held-out figures flatter; `run` screens
    inside the folds.

    With several graphics cards: torchrun --nproc-per-node 2 --no-python geomfaf train ...; each
    trains its own folds.

    Example: geomfaf train demo/stack.tif demo/windows.gpkg demo/model
    """
    from ..files import make_folder, write_table
    from ..models.attention import factor_attention
    from ..models.fold_models import train_model
    from ..models.model_files import save_model
    from ..models.network.distributed import process_group
    from ..models.network.options import training_options
    from ..rasters.reader import RasterReader
    from ..windows.fold_files import read_folds

    if windows is None or out is None:
        run_until("train", stack, overwrite)
        return
    names = ("model.json", "weights.safetensors", "simple_models.safetensors", "attention.csv")
    refuse_taken([out / name for name in names], overwrite)
    make_folder(out)
    bands = RasterReader(stack)
    labelled, folds = read_folds(windows, bands.grid)
    changes["weights"] = changes["weights"] and str(changes["weights"])
    options = training_options(preset or "compact", **given_options(changes))
    say("note: the bands are used as they are; if deposits chose them, the held-out scores flatter")
    place = given_options({"seed": seed, "device": device})
    with process_group() as writes:
        model = train_model(bands, labelled, folds, options=options, **place)
        if writes:
            save_model(model, out, overwrite=overwrite)
            attention = factor_attention(model, bands, labelled)
            write_table(attention, out / "attention.csv", overwrite=overwrite)
            click.echo(str(out))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("model", type=EXISTING, required=False)
@click.argument("out", type=NEW, required=False)
@table_options("predict")
@device_option
@scheduler_option
@overwrite_option
def predict(
    stack: Path,
    model: Path | None,
    out: Path | None,
    device: str | None,
    scheduler: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Score every cell of STACK with MODEL; the result is OUT: score, held-out score, spread, vote
    share.

    STACK and OUT end in .tif or .zarr. They are read and written block by block, so they may be
    larger than memory; an interrupted command goes on where it stopped when it is repeated. A
    geomfaf.toml alone, in place of STACK, runs its project up to its prediction.

    Example: geomfaf predict demo/stack.tif demo/model demo/scores.tif
    """
    from ..models.model_files import load_model
    from ..models.predict import predict_to_file

    if model is None or out is None:
        run_until("predict", stack, overwrite)
        return
    output = output_of(out, scheduler, overwrite)
    trained = load_model(model, **given_options({"device": device}))
    click.echo(str(predict_to_file(trained, stack, **output, **given_options(options))))


@click.command()
@click.argument("stack", type=EXISTING)
@click.argument("model", type=EXISTING)
@click.argument("windows", type=EXISTING)
@click.argument("out", type=NEW)
@scheduler_option
@overwrite_option
def applicability(
    stack: Path, model: Path, windows: Path, out: Path, scheduler: str | None, overwrite: bool
) -> None:
    """Map which ground of STACK is unlike all that MODEL learned from; the result is OUT:
    dissimilarity index, and 1 where the figures speak for the map, 0 where they do not.

    WINDOWS are those that trained the model. STACK and OUT end in .tif or .zarr and are read and
    written block by block. The maps of a run have both bands already.

    Example: geomfaf applicability demo/stack.tif demo/model demo/windows.gpkg demo/area.tif
    """
    from ..evaluation.applicability import model_area_to_file
    from ..models.model_files import load_model

    output = output_of(out, scheduler, overwrite)
    trained = load_model(model)
    labelled = _windows_of(trained, model, windows)
    made, line = model_area_to_file(trained, stack, labelled, **output)
    say(line)
    click.echo(str(made))


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
@layer_options
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
    from ..errors import nearest_name
    from ..models.weight_patterns import METHODS
    from ..models.weights_of_evidence import weigh_evidence
    from ..rasters.bands import grid_of
    from ..rasters.geotiff import read_raster, require_geotiff, write_raster

    if out:
        refuse_taken([out], overwrite)
        require_geotiff(out)
    bands = read_raster(stack)
    points = layer_of(deposits, options, "deposits", grid_of(bands).crs)
    methods = {name: method for method in METHODS for name in options[method]}
    found = weigh_evidence(bands, points, methods=methods, unit_area=unit_area)
    if band is not None and band not in found.tables:
        raise UsageError(f'the stack has no band "{band}".{nearest_name(band, found.tables)}')
    print_table(found.summary() if band is None else found.tables[band], as_json)
    test = found.independence
    expected = f"{test['expected']:.1f} (ratio {test['ratio']:.2f})"
    say(f"{test['deposits']:.0f} deposits, the posterior expects {expected}")
    say(f"bands independent given the deposits: p = {test['p']:.2g} (Agterberg and Cheng)")
    if out:
        say(f"made {write_raster(found.posterior, out, overwrite=overwrite)}")


@click.command()
@click.argument("stack", type=EXISTING)
@click.option("--windows", type=EXISTING, help="GeoPackage of `geomfaf windows`.")
@click.option("--model", type=EXISTING, help="Folder of `geomfaf train`.")
@click.option("--scores", type=EXISTING, help="GeoTIFF of `geomfaf predict`.")
@click.option("--deposits", type=EXISTING, help="File with the known deposits.")
@click.option(
    "--protocol",
    type=click.Choice(["spatial", "paper"]),
    default="spatial",
    help="paper: adds the row of the paper's protocol, which leaks [default: spatial].",
)
@click.option("--out", type=NEW, help="Also write the table as CSV.")
@stride_option
@layer_options
@json_option
@overwrite_option
def evaluate(
    stack: Path, protocol: str, out: Path | None, as_json: bool, overwrite: bool, **options: Any
) -> None:
    """Print how good a map of STACK is on ground its models never saw, beside the simplest rivals.

    One draw of barren windows, no optimism meter and no null test: `run` adds them. STACK and scores
    of more than 9,000,000 cells are read in parts and may be larger than memory; a regular sample of
    the ground is then judged, and the error that this makes is said. A geomfaf.toml alone, in place of STACK and the options, runs its project up to its evaluation.

    Example: geomfaf evaluate demo/stack.tif --windows demo/windows.gpkg --model demo/model
    --scores demo/scores.tif --deposits demo/survey.gpkg
    """
    import pandas as pd

    from ..deliver.report.tables import map_rows, window_rows
    from ..evaluation.evaluate import evaluate_model, evaluate_paper_protocol
    from ..evaluation.ground_sample import WHOLE
    from ..evaluation.held_out import Draw
    from ..files import write_table
    from ..models.model_files import load_model
    from ..rasters.geotiff import read_raster
    from ..rasters.reader import RasterReader

    named = {key: options[key] for key in ("windows", "model", "scores", "deposits")}
    if not any(named.values()):
        run_until("evaluate", stack, overwrite)
        return
    _require_all(named)
    # A stack of some size is read in parts, and a sample of its ground is judged.
    bands = RasterReader(stack)
    trained = load_model(named["model"])
    trained.require_stack(bands.bands, bands.grid)
    if bands.grid.width * bands.grid.height <= WHOLE:
        bands = RasterReader(read_raster(stack))
    labelled = _windows_of(trained, named["model"], named["windows"])
    points = layer_of(named["deposits"], options, "deposits", trained.folds.grid.crs)
    scores = RasterReader(named["scores"], kind="score")
    stride = options["stride"]
    draws = [Draw(labelled, trained.seed)]
    result = evaluate_model(
        trained,
        bands,
        draws,
        points,
        scores,
        stride=stride,
    )
    table = result.table
    if protocol == "paper":
        leaky = evaluate_paper_protocol(bands, labelled, options=trained.options, seed=trained.seed)
        table = pd.concat([table, leaky], ignore_index=True)
        say("the paper's protocol balances before it splits: its row leaks")
    for shown in [table] if as_json else [map_rows(table), window_rows(table)]:
        print_table(shown, as_json)
    say_lines(result.verdict)
    if out:
        write_table(table, out, overwrite=overwrite)


def _windows_of(trained: Model, model: Path, windows: Path) -> GeoDataFrame:
    """Return the windows that trained a model; refused when they were cut into other folds."""
    from ..windows.fold_files import read_folds

    labelled, folds = read_folds(windows, trained.folds.grid)
    if not folds.same_split(trained.folds):
        raise ModelMismatchError(
            f"the folds in {windows} are not those of {model}: give the windows that trained it."
        )
    return labelled


def _require_all(named: dict[str, Any]) -> None:
    """Refuse a command that lacks one of several options."""
    missing = [f"--{name}" for name, value in named.items() if value is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} must be given too, or a geomfaf.toml alone.")


@click.command()
@click.argument("table", type=click.Choice(["table3", "table4", "table5", "table6", "figure7"]))
@click.argument("project", type=EXISTING, default=PROJECT)
@click.option("--seeds", type=int, default=3, help="Repetitions of every training [default: 3].")
@click.option(
    "--quick", is_flag=True, help="One seed, three epochs: to see it work, not to judge by."
)
@click.option("--workers", type=int, help="Processes [default: one a core].")
def experiment(
    table: str,
    project: Path,
    seeds: int,
    quick: bool,
    workers: int | None,
) -> None:
    """Repeat an experiment of the paper on a finished run of PROJECT; the result is TABLE in its
    experiments folder.

    Every network is trained under spatial folds and under the paper's leaking protocol. An
    interrupted experiment goes on where it stopped.

    Example: geomfaf experiment table3 demo/geomfaf.toml --quick
    """
    from ..evaluation.paper_tables import run_experiment
    from ..run.project import load_project

    out = load_project(project).out
    run_experiment(table, out, seeds=seeds, quick=quick, workers=workers)
    click.echo(str(out / "experiments" / f"{table}.md"))


MODEL_COMMANDS = (pretrain, train, predict, applicability, weights, evaluate, experiment)
