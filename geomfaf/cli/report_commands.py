"""Commands that show a finished run again: the report, and figures for print."""

from __future__ import annotations

from pathlib import Path

import click

from .options import EXISTING, NEW, overwrite_option

NAMES = ("geology", "evidence", "targets", "cells", "curves")


@click.command()
@click.argument("run", type=EXISTING)
def report(run: Path) -> None:
    """Write report.html and summary.md of a finished RUN again, from the files in its folder.

    The report is one file: it opens in any browser without a network, prints one page a target and
    can be sent by mail.

    Example: geomfaf report demo/out
    """
    from ..deliver.report.write import write_report, write_summary

    click.echo(str(write_report(run)))
    click.echo(str(write_summary(run)))


@click.command()
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.argument("run", type=EXISTING)
@click.option("--folder", type=NEW, help="Where the figures go [default: RUN/figures].")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "svg"]),
    multiple=True,
    help="One of them only [default: both].",
)
@overwrite_option
def figure(
    name: str,
    run: Path,
    folder: Path | None,
    formats: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Draw a figure of a finished RUN for print: scale bar, north, coordinates, names beside
    symbols.

    geology: samples, faults and deposits on the rocks; evidence: every band; targets: the target
    map; cells: the numbered window cells; curves: how much of the deposits lies in how much of the
    ground.

    Example: geomfaf figure targets demo/out
    """
    from ..deliver.figures.run_figures import draw_figures
    from ..deliver.run_folder import read_run

    names = NAMES if name == "all" else (name,)
    kinds = formats or ("png", "svg")
    found = read_run(run)
    for path in draw_figures(found, names, folder=folder, formats=kinds, overwrite=overwrite):
        click.echo(str(path))


REPORT_COMMANDS = (report, figure)
