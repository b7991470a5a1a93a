"""The QGIS project and the files for the field, made again from a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from .options import EXISTING


@click.command()
@click.argument("run", type=EXISTING)
def project(run: Path) -> None:
    """Write RUN/project.qgz, the styles of its files, targets.gpx and targets.kmz from the files of
    a finished run.

    RUN is the folder that `geomfaf run` filled, such as demo/out. QGIS is not needed. Open the
    project in QGIS; for a map on paper: Project > Layouts > Target map A3, then Export.

    Example: geomfaf project demo/out
    """
    from ..deliver.field_files import write_field_files
    from ..deliver.qgis.contents import read_record
    from ..deliver.qgis.project import write_project

    click.echo(str(write_project(run, read_record(run))))
    for path in write_field_files(run):
        click.echo(str(path))


PROJECT_COMMANDS = (project,)
