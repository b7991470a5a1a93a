"""Why a run's targets are targets, and isolines of its elements. Heavy packages are imported
inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import UsageError, nearest_name
from .inputs import refuse_taken
from .options import EXISTING, NEW, json_option, overwrite_option
from .printing import print_table


@click.command()
@click.argument("run", type=EXISTING)
@click.argument("target", required=False)
@click.option(
    "--sheet", type=NEW, help="Also write the sheet of TARGET, as in the report, into this .html."
)
@json_option
@overwrite_option
def explain(
    run: Path,
    target: str | None,
    sheet: Path | None,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Say what the map of a finished RUN leans on, or why one TARGET (T1, K2, ...) is one.

    Without TARGET the result is the influence of every factor on the whole map, by three measures;
    with it, the sentence of the target and what each factor adds to its score or takes from it.

    Example: geomfaf explain demo/out T1
    """
    from ..deliver.run_folder import read_run

    found = read_run(run)
    if target is None:
        if sheet is not None:
            raise UsageError("--sheet is that of one target: name it, such as T1.")
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
    factors = _factors_of(run, row["number"])
    if sheet is not None:
        from ..deliver.report.write import write_sheet

        refuse_taken([sheet], overwrite)
        write_sheet(found, target, sheet, factors)
    elif not len(factors):
        raise UsageError(f"{run} holds no factors of its targets: run it again to have them.")
    print_table(factors, as_json)


def _factors_of(run: Path, number: int) -> Any:
    """Return what each factor does to the score of a target; no row where a run did not judge them."""
    import geopandas as gpd
    import pandas as pd

    layers = gpd.list_layers(run / "targets.gpkg")["name"].tolist()
    if "target_factors" not in layers:
        return pd.DataFrame(columns=["factor", "value", "percentile", "contribution"])
    table = gpd.read_file(run / "targets.gpkg", layer="target_factors")
    found = table[table["number"] == number].drop(columns=["number", "geometry"], errors="ignore")
    return pd.DataFrame(found)


@click.command()
@click.argument("run", type=EXISTING)
@click.option(
    "--levels",
    default="percentiles",
    show_default=True,
    help="percentiles (75, 90, 97.5), round (1, 2, 5, 10, ...), or values such as 50,100,200.",
)
@click.option("--element", "elements", multiple=True, help="This element alone [default: all].")
@click.option("--out", type=NEW, help="Another file [default: RUN/isolines.gpkg].")
@overwrite_option
def isolines(
    run: Path,
    levels: str,
    elements: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
) -> None:
    """Draw isolines and anomaly classes of a RUN's elements; the result is a GeoPackage.

    Its layers are isolines (value, unit, class) and anomalies: filled classes by quantiles, by
    median and robust deviations, and by the breaks of the concentration-area curve, which is drawn
    into concentration_area.png beside it. Shapes smaller than one sample's share of the ground are
    left out.

    Example: geomfaf isolines demo/out --levels round --overwrite
    """
    from ..deliver.isolines import write_isolines

    asked: Any = levels
    if levels not in ("percentiles", "round"):
        try:
            asked = [float(part) for part in levels.split(",")]
        except ValueError:
            raise UsageError(
                f'--levels "{levels}" must be percentiles, round, or numbers such as 50,100,200.'
            ) from None
    path = write_isolines(
        run,
        levels=asked,
        elements=elements,
        out=out,
        overwrite=overwrite,
    )
    if path is None:
        raise UsageError(f"{run} mapped no element: there is nothing to draw isolines of.")
    click.echo(str(path))


EXPLAIN_COMMANDS = (explain, isolines)
