"""Looking at a survey: what is wrong with it, and which elements tell ore from barren ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..progress import say
from .inputs import checked_survey, project_of, stage_settings, survey_of
from .options import (
    EXISTING,
    NEW,
    ROWS,
    json_option,
    log_ratio_option,
    overwrite_option,
    rows_options,
    seed_option,
    setting_option,
    table_options,
)
from .printing import print_findings, print_table


@click.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.option("--crs", help="CRS of the files that have none.")
@setting_option("samples", "xy_unit")
@table_options("check")
@rows_options
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
    out: Path | None,
    as_json: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Check SURVEY (a geomfaf.toml, or survey files) and print what was found, fixed and refused.

    Exit code 3 when something is refused.

    Example: geomfaf check demo/survey.gpkg
    """
    from ..survey.cleaning.check import check_survey
    from ..survey.cleaning.element_columns import detection_limits
    from ..survey.cleaning.findings import require_accepted

    rows = {name: options.pop(name) for name in ROWS}
    settings = stage_settings(project_of(survey), "check", options)
    read = survey_of(survey, crs, xy_unit, rows)
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


@click.command()
@click.argument("survey", nargs=-1, required=True, type=EXISTING)
@click.option("--crs", help="CRS of the files that have none.")
@table_options("screen")
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
    from ..windows.screen import screen_elements

    checked = checked_survey(survey, crs, log_ratio)
    project = project_of(survey)
    chosen = stage_settings(project, "screen", options)
    if project is not None:
        chosen = {"seed": project.seed, **chosen}
    table = screen_elements(checked.samples, checked.deposits, checked.elements, **chosen)
    say(f'samples within {table.attrs["radius"]:g} m of a deposit are "ore"')
    print_table(table, as_json)
    if out:
        from ..files import write_table

        write_table(table, out, overwrite=overwrite)


SURVEY_COMMANDS = (check, screen)
