"""Count the undiscovered deposits of made-up surveys that lie in their targets.

    python benchmarks/targets.py [--seeds 5] [--first 0] [--folder targets]

Each seed is a survey of `geomfaf demo`, whose makers know a third of the deposits that the survey
does not list. It is run with the default settings up to the map of the default model; a finished run
that lies in the folder is taken as it is. Then targets are made twice from the same map: all ground in one list (known_distance = 0), and with the
defaults, the exploration targets alone. What only the maker knows is looked at when both are made.
The table goes to docs/benchmarks/targets.csv and .md; with ``--first``, rows of seeds before it are taken
from the table that is there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import geopandas as gpd
import pandas as pd
from idw import OUT, write

import geomfaf as gm
from geomfaf.progress import say
from geomfaf.run.folder import KEPT
from geomfaf.run.project import load_project
from geomfaf.run.template import init_project


def main() -> None:
    """Run what is missing, make the targets and write the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, default=5, help="how many surveys, from seed 0")
    options.add_argument("--first", type=int, default=0, help="the first seed that is measured")
    options.add_argument("--folder", type=Path, default=Path("targets"), help="keeps the runs")
    given = options.parse_args()
    rows = measured_before(given.first)
    for seed in range(given.first, given.seeds):
        rows += rows_of(seed, given.folder / f"seed_{seed}")
    table = pd.DataFrame(rows)
    summary = table.groupby("targets", sort=False).mean(numeric_only=True).drop(columns="seed")
    means = summary.round(2).reset_index().assign(seed="mean")
    table = pd.concat([table, means[table.columns]], ignore_index=True)
    command = f"python benchmarks/targets.py --seeds {given.seeds}"
    before = f" Seeds before {given.first} were measured earlier (`--first {given.first}`)."
    said = f"Undiscovered deposits in targets, `{command}`.{before if given.first else ''}"
    write(table, "targets", said)


def measured_before(first: int) -> list[dict[str, object]]:
    """Return the rows of the seeds before ``first`` that the table has."""
    if not first:
        return []
    table = pd.read_csv(OUT / "targets.csv")
    table = table[table["seed"] != "mean"]
    table["seed"] = table["seed"].astype(int)
    return table[table["seed"] < first].to_dict("records")


def rows_of(seed: int, folder: Path) -> list[dict[str, object]]:
    """Return what the targets of one survey hold, one row a way to make them."""
    survey, truth = gm.make_survey("small", seed=seed)
    checked, _ = gm.check_survey(survey)
    scores = gm.read_raster(score_map(seed, folder, survey))
    stack = gm.read_raster(folder / "out" / "stack.tif")
    layers = {"stack": stack, "samples": checked.samples, "faults": checked.faults}
    ways = {
        "best 5 % in one list": {"known_distance": 0.0},
        "exploration targets": {},
    }
    rows = []
    for name, settings in ways.items():
        targets = gm.make_targets(scores, checked.deposits, **layers, **settings)
        taken = targets if settings else targets[targets["list"] == "exploration"]
        rows.append({"seed": seed, "targets": name, **figures(taken, truth.undiscovered)})
        say(f"seed {seed}, {name}: {rows[-1]}")
    return rows


def score_map(seed: int, folder: Path, survey: gm.Survey) -> Path:
    """Return the score map of a finished run, else that of the default model; trained when it is
    not there.
    """
    finished = folder / "out" / "scores.tif"
    predicted = folder / "out" / KEPT / "prediction.tif"
    if not finished.exists() and not predicted.exists():
        folder.mkdir(parents=True, exist_ok=True)
        data = gm.write_survey(survey, folder / "survey.gpkg", overwrite=True)
        init_project([data], folder / "geomfaf.toml", overwrite=True)
        project = load_project(folder / "geomfaf.toml", {"seed": seed})
        gm.run_project(project, until="predict")
    return finished if finished.exists() else predicted


def figures(targets: gpd.GeoDataFrame, undiscovered: gpd.GeoDataFrame) -> dict[str, object]:
    """Return area, number, largest share, and how many undiscovered deposits the targets hold."""
    ground = targets.geometry.union_all()
    area = float(targets["area_km2"].sum())
    return {
        "area_km2": round(area, 2),
        "number": len(targets),
        "largest_share": round(float(targets["area_km2"].max()) / area, 3),
        "holding_deposits": int((targets["deposits"] > 0).sum()),
        "undiscovered": len(undiscovered),
        "captured": int(undiscovered.intersects(ground).sum()),
    }


if __name__ == "__main__":
    main()
