"""Saying why a run's targets are targets. Heavy packages are imported inside."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UsageError, nearest_name
from .options import EXISTING, json_option
from .printing import print_table


@click.command()
@click.argument("run", type=EXISTING)
@click.argument("target", required=False)
@json_option
def explain(run: Path, target: str | None, as_json: bool) -> None:
    """Say what the map of a finished RUN leans on, or why one TARGET (T1, K2, ...) is one.

    Without TARGET the result is the influence of every factor on the whole map, by three measures;
    with it, the sentence of the target and what each factor adds to its score or takes from it.

    Example: geomfaf explain demo/out T1
    """
    import geopandas as gpd

    from ..deliver.run_folder import read_run

    found = read_run(run)
    if target is None:
        factors = found.table("factors.csv")
        if not len(factors):
            raise UsageError(
                f"{run} holds no factors.csv: run it again to have the factors judged."
            )
        print_table(factors, as_json)
        click.echo(found.assessment.get("factor_agreement") or "", err=True)
        for row in found.targets.to_dict("records"):
            click.echo(f"{row['name']}: {row['why']}", err=True)
        return
    names = found.targets["name"].tolist()
    if target not in names:
        raise UsageError(f'{run} has no target "{target}".{nearest_name(target, names)}')
    row = found.targets[found.targets["name"] == target].iloc[0]
    click.echo(str(row["why"]), err=True)
    layers = gpd.list_layers(run / "targets.gpkg")["name"].tolist()
    if "target_factors" not in layers:
        raise UsageError(f"{run} holds no factors of its targets: run it again to have them.")
    table = gpd.read_file(run / "targets.gpkg", layer="target_factors")
    print_table(table[table["number"] == row["number"]].drop(columns="number"), as_json)


EXPLAIN_COMMANDS = (explain,)
