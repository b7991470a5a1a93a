"""Whole runs as commands: begin, run, plan, repeat, clean up. Heavy packages are imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import DataError, OutputExistsError, UsageError
from ..progress import say
from .inputs import recognised_survey
from .loading import quick_loading
from .options import (
    EXISTING,
    NEW,
    PROJECT,
    overwrite_option,
    rows_options,
    seed_option,
    setting_option,
)
from .printing import say_lines


@click.command()
@click.argument("folder", type=NEW, default="demo")
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    default="small",
    help="small: 20 x 20 km, 1,900 samples; paper: 40 x 40 km, 7,512 samples [default: small].",
)
@click.option("--no-run", is_flag=True, help="Only write the survey and its project file.")
@seed_option
@overwrite_option
def demo(
    folder: Path,
    size: str,
    no_run: bool,
    seed: int | None,
    overwrite: bool,
) -> None:
    """Write a synthetic survey and its project file into FOLDER and run it.

    The result is FOLDER/survey.gpkg, FOLDER/geomfaf.toml and the run folder FOLDER/out.

    Example: geomfaf demo
    """
    from ..files import make_folder
    from ..run.template import init_project
    from ..synthetic import make_survey, write_survey

    source = folder / "survey.gpkg"
    if source.exists() and not overwrite:
        raise OutputExistsError(f"{source} exists: name another folder or use --overwrite.")
    make_folder(folder)
    survey, _ = make_survey(size, seed=seed or 0)
    write_survey(survey, source, overwrite=overwrite)
    deposits = len(survey.deposits)
    say(f"made {source}: {len(survey.samples):,} samples, {deposits} deposits (synthetic)")
    init_project([source], folder / PROJECT, overwrite=overwrite)
    say(f"made {folder / PROJECT}: every setting with its default")
    if not no_run:
        _run(folder / PROJECT, {}, overwrite)


@click.command()
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--toml", type=NEW, default=PROJECT, help=f"The project file to write [default: {PROJECT}]."
)
@click.option("--crs", help="CRS of the files that have none, such as EPSG:32650.")
@setting_option("samples", "xy_unit")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="TABLE.NAME=VALUE",
    help="A setting to write into the file; may be given several times.",
)
@rows_options
@overwrite_option
def init(
    files: tuple[Path, ...],
    toml: Path,
    crs: str | None,
    xy_unit: str | None,
    changes: tuple[str, ...],
    overwrite: bool,
    **rows: Any,
) -> None:
    """Look at survey FILES, recognise their layers and columns, and write a commented project file.

    Samples and deposits are required; geology, faults and a study area are used when found. Rasters
    among the files (.tif, .vrt, .ers, .asc, .nc ...) become bands of their own. A survey in degrees
    goes to its UTM zone.

    Example: geomfaf init demo/survey.gpkg --toml demo/geomfaf.toml --overwrite
    """
    from ..evidence.own_rasters import is_raster
    from ..run.project import setting_from_text
    from ..run.template import write_project

    vectors = tuple(path for path in files if not is_raster(path))
    rasters = [path for path in files if is_raster(path)]
    known = recognised_survey(vectors, crs, xy_unit, rows)
    chosen = dict(setting_from_text(text) for text in changes)
    say_lines(write_project(known, toml, rasters=rasters, changes=chosen, overwrite=overwrite))
    say(f"wrote {toml}; run it with: geomfaf run {toml}")


@click.command()
@click.argument("project", type=EXISTING, default=PROJECT)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="TABLE.NAME=VALUE",
    help="A setting that goes before the file's; may be given several times.",
)
@click.option("--out", type=NEW, help="Folder of the results [default: as the project says].")
@seed_option
@click.option(
    "--quick",
    is_flag=True,
    help="A look around: one draw, two rivals, no null test; every result says so.",
)
@click.option("--plan", is_flag=True, help="Only say what would be done, with what, how long.")
@overwrite_option
def run(
    project: Path,
    changes: tuple[str, ...],
    out: Path | None,
    seed: int | None,
    quick: bool,
    plan: bool,
    overwrite: bool,
) -> None:
    """Run every stage of PROJECT (a geomfaf.toml) and fill its run folder.

    Stages whose inputs and settings did not change since they were made are not made again. PROJECT
    may also be a run folder that is to be changed: its settings count, those of --set included.

    Example: geomfaf run demo/geomfaf.toml --overwrite
    """
    from ..run.project import setting_from_text

    settings = dict(setting_from_text(text) for text in changes)
    if seed is not None:
        settings["seed"] = seed
    if quick:
        settings["quick"] = True
    if out is not None:
        settings["out"] = str(out.resolve())
    if not plan:
        _run(project, settings, overwrite)
        return
    from ..run.plan import plan_lines, plan_run
    from ..run.project import load_project

    for line in plan_lines(plan_run(load_project(project, settings))):
        click.echo(line)


RESULTS = (
    ("report.html", "read this first: map, targets and how far to trust them, in a browser"),
    ("summary.md", "the same as text"),
    ("curves.png", "captured deposits against area, of every model"),
    ("scores.png", "the map: score, faults, deposits, numbered targets"),
    ("project.qgz", "all of it in QGIS; for paper: Project > Layouts > Target map A3 > Export"),
    ("targets.kmz", "targets for a globe or a tablet; targets.gpx for a satellite receiver"),
    ("targets.gpkg", "targets, cells and deposits, styled"),
    ("scores.tif", "score, held-out score, spread, vote share, applicability"),
    ("stack.tif", "the bands of evidence (stack.png shows them)"),
    ("run.json", "inputs, settings, versions, timings"),
)


def _run(toml: Path, changes: dict[str, Any], overwrite: bool) -> None:
    """Run a project and print what to open."""
    with quick_loading():
        from ..run.project import load_project
        from ..run.run import run_project

    out = run_project(load_project(toml, changes), overwrite=overwrite)
    for name, what in RESULTS:
        if (out / name).exists():
            click.echo(f"{out / name!s:<32} {what}")


@click.command()
@click.argument("record", type=EXISTING)
@click.option("--out", type=NEW, help="Folder of the repetition [default: NAME_again].")
def rerun(record: Path, out: Path | None) -> None:
    """Repeat a finished run from its RECORD (run.json) in another folder and say what differs.

    Exit code 1 when something differs.

    Example: geomfaf rerun demo/out/run.json
    """
    from ..run.rerun import rerun_project

    lines = rerun_project(record, out)
    for line in lines:
        click.echo(line)
    if lines:
        click.get_current_context().exit(1)
    say("every file is the same to the byte")


@click.command()
@click.argument("project", type=EXISTING, default=PROJECT)
def clean(project: Path) -> None:
    """Remove what the run of PROJECT (a geomfaf.toml, or a run folder) remembers of its stages.

    The results stay; the next run makes every stage anew.

    Example: geomfaf clean demo/geomfaf.toml
    """
    import shutil

    from ..run.folder import KEPT, MARKER, locked_folder, size_of
    from ..run.project import load_project

    folder = project if project.is_dir() else load_project(project).out
    if not (folder / MARKER).exists():
        raise UsageError(f"{folder} is no run folder: it has no {MARKER}.")
    with locked_folder(folder) as kept:
        size = size_of(kept)
    shutil.rmtree(folder / KEPT)
    click.echo(f"{folder / KEPT}: {size / 1e6:.1f} MB removed")


@click.command()
@click.option("--no-test", is_flag=True, help="Leave the self-test out.")
def doctor(no_test: bool) -> None:
    """Print versions, drivers, devices and free space, and test this installation (ten seconds).

    Paste it into a bug report. Exit code 1 when a test fails.

    Example: geomfaf doctor
    """
    from ..run.doctor import machine_report, self_test

    for name, text in machine_report().items():
        click.echo(f"{name:<18} {text}")
    found = [] if no_test else self_test()
    for name, passed, seconds in found:
        click.echo(f"{'passed' if passed else 'FAILED':<18} {name} ({seconds:g} s)")
    if not all(passed for _, passed, _ in found):
        click.get_current_context().exit(1)


@click.command()
@click.option("--out", type=NEW, help="Write the page into this file instead.")
@overwrite_option
def settings(out: Path | None, overwrite: bool) -> None:
    """Print every setting of geomfaf.toml with its default and range, as a Markdown page.

    Example: geomfaf settings
    """
    from ..settings.pages import settings_page

    if out is None:
        click.echo(settings_page(), nl=False)
        return
    from ..files import finished_file

    with finished_file(out, overwrite=overwrite) as path:
        path.write_text(settings_page(), encoding="utf-8")
    click.echo(str(out))


def run_until(stage: str, project: Path, overwrite: bool) -> None:
    """Run a project up to one stage, taking what is remembered; print the run folder."""
    with quick_loading():
        from ..run.project import load_project
        from ..run.run import run_project

    if project.suffix != ".toml":
        raise DataError(f"{project} is no project file: name the other arguments too (--help).")
    click.echo(str(run_project(load_project(project), overwrite=overwrite, until=stage)))


RUN_COMMANDS = (demo, init, run, rerun, clean, doctor, settings)
