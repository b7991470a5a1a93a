"""The options that several commands share, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

EXISTING = click.Path(exists=True, path_type=Path)
NEW = click.Path(path_type=Path)


def numbers(count: int, names: str, example: str) -> Callable:
    """Return the callback that reads so many comma-separated numbers."""

    def read(_: click.Context, __: click.Parameter, text: str | None) -> tuple[float, ...] | None:
        if text is None:
            return None
        try:
            values = tuple(float(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count:
            raise click.BadParameter(
                f'"{text}" is not {names}: {count} numbers, such as {example}.'
            )
        return values

    return read


def name_list(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """Read comma-separated names (a click callback)."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


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
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of everything random.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
log_ratio_option = click.option(
    "--log-ratio",
    type=click.Choice(["clr", "ilr"]),
    help=(
        "Log-ratios of the usable elements in their place: centred or isometric [default: as the"
        " project says]."
    ),
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."
)
stride_option = click.option(
    "--stride", type=int, help="Cells between window centres [default: a quarter window]."
)
network_options = together(
    click.option(
        "--preset",
        default="compact",
        show_default=True,
        help="compact, mfaf (the network alone), tree-initialised, or paper (ResNet18).",
    ),
    click.option(
        "--backbone", help="compact, resnet18, shufflenet_v2, googlenet, mobilenet_v2 or mnasnet."
    ),
    click.option("--network", help="mfaf, or plain: the backbone alone."),
    click.option("--epochs", type=int, help="[default: the preset's, 1 or 220]"),
    click.option(
        "--dropout",
        type=float,
        help="Share dropped before the compact network's classifier [default: 0].",
    ),
    click.option(
        "--calibration",
        help="none, temperature or isotonic; a fold then takes as many trainings "
        "as there are folds [default: none].",
    ),
)
uncertainty_options = together(
    click.option(
        "--uncertainty",
        type=click.Choice(["ensemble", "mc-dropout"]),
        default="ensemble",
        show_default=True,
        help="Spread over branches and fold models, or over passes with dropout as well.",
    ),
    click.option(
        "--passes", default=20, show_default=True, help="With dropout, for each fold model."
    ),
)
table_options = together(
    click.option(
        "--layer", help="Layer of the file [default: the one that looks like what is needed]."
    ),
    click.option("--x", help="x column of a table (CSV)."),
    click.option("--y", help="y column of a table (CSV)."),
    click.option("--crs", help="CRS of a table or a file without one, such as EPSG:32650."),
    click.option(
        "--xy-unit",
        type=click.Choice(["m", "km", "deg"]),
        help="Unit of x and y in a table [default: m].",
    ),
)
grid_options = together(
    click.option(
        "--cell",
        type=float,
        help="Cell size in metres [default: round, 500 to 1,000 cells a side].",
    ),
    click.option(
        "--bounds",
        callback=numbers(4, "W,S,E,N in metres", "400000,2400000,420000,2420000"),
        help="W,S,E,N in metres [default: those of the layer].",
    ),
    click.option("--like", type=EXISTING, help="Take the grid of this raster."),
)
idw_options = together(
    click.option(
        "--power",
        default="2",
        show_default=True,
        help="Exponent of the distance; auto: the one with the smallest leave-one-out error.",
    ),
    click.option(
        "--neighbours",
        default="12",
        show_default=True,
        help="Nearest samples; 0 takes all; auto: the number with the smallest leave-one-out error.",
    ),
    click.option(
        "--radius", type=float, help="Metres; farther samples do not count [default: no limit]."
    ),
    click.option(
        "--minimum",
        default=1,
        show_default=True,
        help="Cells with fewer samples in reach are nodata.",
    ),
    click.option(
        "--max-distance",
        type=float,
        help="Metres; cells farther than this from every sample are nodata [default: no limit].",
    ),
    click.option(
        "--anisotropy",
        callback=numbers(2, "RATIO,AZIMUTH", "3,45"),
        help="RATIO,AZIMUTH: values are alike RATIO times farther along AZIMUTH (degrees from north).",
    ),
    click.option(
        "--barriers", type=EXISTING, help="Fault lines; a sample behind one does not count."
    ),
    click.option(
        "--errors/--no-errors",
        default=True,
        show_default=True,
        help="Cross-validate: print each element's errors and keep them with its band.",
    ),
)
scheduler_option = click.option(
    "--scheduler", help="Dask scheduler to compute on, such as tcp://10.0.0.1:8786."
)
