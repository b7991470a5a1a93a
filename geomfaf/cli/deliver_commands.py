"""Making what people open from the results of a run. Heavy packages are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .inputs import element_samples, given_options, layer_of, refuse_taken, require_geopackage
from .options import (
    EXISTING,
    NEW,
    layer_options,
    overwrite_option,
    setting_option,
    table_options,
)
from .run_commands import run_until


@click.command()
@click.argument("scores", type=EXISTING)
@click.argument("deposits", type=EXISTING, required=False)
@click.argument("out", type=NEW, required=False)
@click.option("--stack", type=EXISTING, help="Stack: which elements are high, and the rocks.")
@click.option("--samples", type=EXISTING, help="Samples: the best ones, and the smallest target.")
@click.option("--faults", type=EXISTING, help="Fault lines: the nearest of each target.")
@table_options("targets")
@setting_option("windows", "size")
@layer_options
@overwrite_option
def targets(
    scores: Path,
    deposits: Path | None,
    out: Path | None,
    stack: Path | None,
    samples: Path | None,
    faults: Path | None,
    size: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Turn SCORES into ranked targets, with reasons, and numbered cells; the result is OUT, a
    GeoPackage, and a CSV beside.

    A geomfaf.toml alone, in place of SCORES, runs its project up to its targets.

    Example: geomfaf targets demo/scores.tif demo/survey.gpkg demo/targets.gpkg --faults
    demo/survey.gpkg
    """
    from ..deliver.layers import write_layers
    from ..deliver.targets import target_layers, targets_and_elements
    from ..files import write_table
    from ..rasters.reader import RasterReader
    from ..settings.tables import TABLES

    if deposits is None or out is None:
        run_until("targets", scores, overwrite)
        return
    require_geopackage(out)
    table = out.with_suffix(".csv")
    refuse_taken([out, table], overwrite)
    bands = RasterReader(scores, kind="score")
    crs = bands.grid.crs
    points = layer_of(deposits, options, "deposits", crs)
    lines = layer_of(faults, {}, "faults", crs) if faults else None
    evidence: dict[str, Any] = {
        "stack": RasterReader(stack) if stack else None,
        "samples": element_samples(samples, crs) if samples else None,
        "size": size or TABLES["windows"]["size"].default,
    }
    names = [setting.name for setting in TABLES["targets"].settings]
    chosen = given_options({name: options[name] for name in names})
    found, elements = targets_and_elements(bands, points, faults=lines, **evidence, **chosen)
    layers = target_layers(found, bands, points, **evidence, elements=elements)
    write_layers(layers, out, overwrite=overwrite)
    # Six digits would move longitude and latitude by ten metres.
    rows = layers["targets"].drop(columns="geometry")
    write_table(rows, table, digits=10, overwrite=overwrite)
    click.echo(str(out))


DELIVER_COMMANDS = (targets,)
