"""The command line: one thin command a stage. Heavy packages are imported inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..errors import GeomfafError
from .evidence_commands import STACK_STAGES
from .inputs import (
    given_options,
    in_composition,
    print_findings,
    print_table,
    seed_of,
    settings_of,
    survey_of,
)
from .model_commands import MODEL_STAGES
from .options import EXISTING, NEW, json_option, log_ratio_option, overwrite_option, seed_option
from .report_commands import REPORT_COMMANDS


class _Group(click.Group):
    """Turns the errors of geomfaf into one line and an exit code; commands stay in
    data-flow order.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GeomfafError as error:
            click.echo(f"geomfaf: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(
                "geomfaf: interrupted; nothing half-written is left, `run` goes on where it"
                " stopped",
                err=True,
            )
            ctx.exit(130)
        except BrokenPipeError:
            raise
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            click.echo(f"geomfaf: {error.strerror or error}{place}", err=True)
            ctx.exit(1)
        except MemoryError:
            click.echo(
                "geomfaf: out of memory: use larger cells (cell =) or a smaller study area",
                err=True,
            )
            ctx.exit(1)


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="geomfaf")
@click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "plain", "json", "none"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr; auto: a bar on a terminal, plain lines elsewhere.",
)
def main(progress: str) -> None:
    """From stream sediments, geology, faults and known deposits to an honest map of exploration targets.

    \b
    Start here:   geomfaf demo                       a made-up survey, run from end to end
    Your survey:  geomfaf init survey.gpkg           writes geomfaf.toml
                  geomfaf run geomfaf.toml           does everything
    The other commands are the stages of a run, each usable alone.
    """  # noqa: D301  (click wants the backspace itself)
    from ..progress import show_progress

    show_progress(progress)


@main.command()
@click.argument("folder", type=NEW, default="demo")
@click.option(
    "--size",
    type=click.Choice(["small", "paper"]),
    default="small",
    show_default=True,
    help="small: 20 x 20 km, 1,900 samples; paper: 40 x 40 km, 7,512 samples.",
)
@click.option("--no-run", is_flag=True, help="Only write the survey and its project file.")
@seed_option
@overwrite_option
def demo(folder: Path, size: str, no_run: bool, seed: int, overwrite: bool) -> None:
    """Write a synthetic survey and its project file into FOLDER and run it.

    The result is FOLDER/survey.gpkg, FOLDER/geomfaf.toml and the run folder FOLDER/out.

    Example: geomfaf demo
    """
    from ..errors import OutputExistsError
    from ..progress import say
    from ..run.template import init_project
    from ..synthetic import make_survey, write_survey

    if (folder / "survey.gpkg").exists() and not overwrite:
        raise OutputExistsError(
            f"{folder}/survey.gpkg exists: name another folder or use --overwrite."
        )
    folder.mkdir(parents=True, exist_ok=True)
    survey, _ = make_survey(size, seed=seed)
    write_survey(survey, folder / "survey.gpkg", overwrite=overwrite)
    say(
        f"made {folder}/survey.gpkg: {len(survey.samples):,} samples, {len(survey.deposits)}"
        " deposits (synthetic)"
    )
    init_project([folder / "survey.gpkg"], folder / "geomfaf.toml", overwrite=overwrite)
    say(f"made {folder}/geomfaf.toml: every setting with its default")
    if not no_run:
        _run(folder / "geomfaf.toml", overwrite)


@main.command()
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--toml", type=NEW, default="geomfaf.toml", show_default=True, help="The project file to write."
)
@click.option("--crs", help="CRS of the files that have none, such as EPSG:32650.")
@click.option(
    "--xy-unit",
    type=click.Choice(["m", "km", "deg"]),
    help="Unit of x and y in tables [default: m].",
)
@overwrite_option
def init(
    files: tuple[Path, ...], toml: Path, crs: str | None, xy_unit: str | None, overwrite: bool
) -> None:
    """Look at survey FILES, recognise their layers and columns, and write a commented project file.

    Samples and deposits are required; geology, faults and a study area are used when found. A
    survey in degrees goes to its UTM zone.

    Example: geomfaf init demo/survey.gpkg --toml demo/geomfaf.toml --overwrite
    """
    from ..run.template import init_project

    for line in init_project(files, toml, crs=crs, xy_unit=xy_unit, overwrite=overwrite):
        click.echo(line, err=True)
    click.echo(f"wrote {toml}; run it with: geomfaf run {toml}", err=True)


@main.command()
@click.argument("project", type=EXISTING, default="geomfaf.toml")
@overwrite_option
def run(project: Path, overwrite: bool) -> None:
    """Run every stage of PROJECT (a geomfaf.toml) and fill its run folder.

    Example: geomfaf run demo/geomfaf.toml --overwrite
    """
    _run(project, overwrite)


def _run(toml: Path, overwrite: bool) -> None:
    from ..run.project import load_project
    from ..run.run import run_project

    out = run_project(load_project(toml), overwrite=overwrite)
    for name, what in (
        ("report.html", "read this first: map, targets and how far to trust them, in a browser"),
        ("summary.md", "the same as text"),
        ("curves.png", "captured deposits against area, of every model"),
        ("scores.png", "the map: score, faults, deposits, numbered targets"),
        ("targets.gpkg", "targets, cells and deposits for QGIS"),
        ("scores.tif", "score, held-out score, spread, vote share, applicability"),
        ("stack.tif", "the bands of evidence (stack.png shows them)"),
        ("run.json", "inputs, settings, versions, timings"),
    ):
        click.echo(f"{out / name!s:<32} {what}")


@main.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.option("--crs", help="CRS of the files that have none.")
@click.option(
    "--xy-unit",
    type=click.Choice(["m", "km", "deg"]),
    help="Unit of x and y in tables [default: m].",
)
@click.option(
    "--duplicates",
    type=click.Choice(["mean", "median", "first", "keep"]),
    help="Several rows at one place: mean or median of logs, first, keep [default: mean].",
)
@click.option("--strict", is_flag=True, help="Refuse what would be fixed.")
@click.option(
    "--out",
    type=NEW,
    help="Folder for check.csv, check.json and check.gpkg (the findings on the map).",
)
@json_option
@overwrite_option
def check(
    survey: tuple[Path, ...],
    crs: str | None,
    xy_unit: str | None,
    duplicates: str | None,
    strict: bool,
    out: Path | None,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Check SURVEY (a geomfaf.toml, or survey files) and print what was found, fixed and refused.

    Exit code 3 when something is refused.

    Example: geomfaf check demo/survey.gpkg
    """
    from ..survey.cleaning.check import check_survey
    from ..survey.cleaning.element_columns import detection_limits
    from ..survey.cleaning.findings import require_accepted

    settings = settings_of(survey, "check")
    settings |= {"duplicates": duplicates} if duplicates else {}
    settings |= {"strict": True} if strict else {}
    read = survey_of(survey, crs, xy_unit)
    checked, findings = check_survey(read, **settings)
    if as_json:
        print_table(findings, as_json)
    else:
        print_findings(findings)
    limits = detection_limits(checked).query("below > 0 or above > 0")
    if len(limits) and not as_json:
        click.echo("\nDetection limits (rows), of the elements that have values beyond them:")
        print_table(limits.drop(columns="column"), as_json)
    if out:
        from ..deliver.layers import write_findings

        write_findings(findings, checked.findings, read.layers(), out, overwrite=overwrite)
    require_accepted(findings)


@main.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.option("--crs", help="CRS of the files that have none.")
@click.option(
    "--method",
    type=click.Choice(["rank", "svm"]),
    default="rank",
    show_default=True,
    help="rank: AUC of the values; svm: the paper's support-vector AUC, out of fold.",
)
@click.option(
    "--radius",
    type=float,
    help='Metres; samples this near to a deposit are "ore" [default: mean spacing].',
)
@click.option(
    "--critical", default=2.58, show_default=True, help="ZAUC above which an element is kept."
)
@log_ratio_option
@click.option("--out", type=NEW, help="Also write the table as CSV.")
@seed_option
@json_option
@overwrite_option
def screen(
    survey: tuple[Path, ...],
    crs: str | None,
    log_ratio: str | None,
    out: Path | None,
    as_json: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Score each element alone against "ore / no ore": AUC, 95 % interval, ZAUC, and whether it is
    kept.

    Example: geomfaf screen demo/survey.gpkg
    """
    from ..survey.cleaning.check import check_survey
    from ..survey.cleaning.findings import require_accepted
    from ..windows.screen import screen_elements

    checked, findings = check_survey(survey_of(survey, crs), **settings_of(survey, "check"))
    require_accepted(findings)
    checked = in_composition(checked, survey, log_ratio)
    chosen = {
        **options,
        **seed_of(survey),
        **settings_of(survey, "screen"),
        **given_options(options),
    }
    table = screen_elements(checked.samples, checked.deposits, checked.elements, **chosen)
    click.echo(f'samples within {table.attrs["radius"]:g} m of a deposit are "ore"', err=True)
    print_table(table, as_json)
    if out:
        from ..files import write_table

        write_table(table, out, overwrite=overwrite)


@main.command()
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


@main.command()
@click.argument("table", type=click.Choice(["table3", "table4", "table5", "table6", "figure7"]))
@click.argument("project", type=EXISTING, default="geomfaf.toml")
@click.option("--seeds", default=3, show_default=True, help="Repetitions of every training.")
@click.option(
    "--quick", is_flag=True, help="One seed, three epochs: to see it work, not to judge by."
)
@click.option("--workers", type=int, help="Processes [default: one a core].")
def experiment(table: str, project: Path, seeds: int, quick: bool, workers: int | None) -> None:
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


for _stage in (*STACK_STAGES, *MODEL_STAGES, *REPORT_COMMANDS):
    main.add_command(_stage)
