"""Measure what every model scores where there is nothing to find, and write down how often its
interval says so.

    python benchmarks/random_deposits.py [--seeds 40] [--network 8]

Each seed is a synthetic survey with deposits thrown at random, judged as a run judges it (folds by
the bands' range, elements screened in the folds, barren windows drawn in the folds), but cheaply:
cells of 200 m, windows of 8 cells, one draw, forests of 100 trees, and on the first surveys alone
the network, with five epochs. ``docs/benchmarks/random_deposits.csv`` has a row a survey and model;
a survey that is in it is not measured again. The table goes into ``docs/protocol.md``.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import geomfaf as gm
from geomfaf.errors import DataError
from geomfaf.evaluation.evaluate import Evaluation, evaluate_baselines, summarise
from geomfaf.evaluation.held_out import Draw, network_draw
from geomfaf.evaluation.intervals import DRAWS, LEVELS
from geomfaf.evaluation.metrics import place_deposits
from geomfaf.models.baselines import BASELINES, NETWORK, ExtraTreesWindow, RandomForestWindow
from geomfaf.models.fold_models import train_model
from geomfaf.models.network.options import Training
from geomfaf.progress import show_progress
from geomfaf.rasters.bands import valid_cells
from geomfaf.run import steps as stages
from geomfaf.run.project import Project
from geomfaf.run.template import init_project
from geomfaf.windows.variogram import autocorrelation_range
from geomfaf.windows.windows import deposit_cells

OUT = Path(__file__).parent.parent / "docs" / "benchmarks"
SETTINGS = {
    "# cell = ": "cell = 200",
    "[windows]": "[windows]\nsize = 8",
    "[evaluate]": "[evaluate]\ndraws = 1",
}
EPOCHS = 5
TREES = 100
FORESTS = {"random forest": RandomForestWindow, "extra trees": ExtraTreesWindow}


def random_project(seed: int, folder: Path) -> Project:
    """Return the project of a survey with random deposits."""
    survey, _ = gm.make_survey("small", seed=seed, random_deposits=True)
    gm.write_survey(survey, folder / "survey.gpkg", overwrite=True)
    toml = folder / "geomfaf.toml"
    init_project([folder / "survey.gpkg"], toml)
    lines = toml.read_text(encoding="utf-8").splitlines()
    for start, text in {**SETTINGS, "seed = ": f"seed = {seed}"}.items():
        lines = [text if line.startswith(start) else line for line in lines]
    toml.write_text("\n".join(lines), encoding="utf-8")
    return gm.load_project(toml)


def judge(project: Project, *, network: bool) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """Return the evaluation of every simple model and of the network, by the stages of a run; the
    deposits' cells.
    """
    survey, _ = gm.check_survey(project.read())
    grid = stages.run_grid(project, survey)
    evidence = stages.coarse_stack(project, survey, grid)
    ore, folds = stages.cut_windows(
        project, survey, grid, autocorrelation_range(evidence, seed=project.seed)
    )
    _, chosen = stages.screen_in_folds(project, survey, folds)
    kept = sorted({e for part in chosen for e in part}, key=list(survey.elements).index)
    stack = gm.build_stack(survey, grid, elements=kept, **stages.stack_choices(project, survey))
    (windows,) = stages.draw_tables(project, ore, folds, stack, chosen)
    bands = stages.bands_in_folds(stack, chosen)
    rows, cols = deposit_cells(survey.deposits, grid)
    on = valid_cells(stack)[rows, cols]
    found = evaluate_baselines(
        stack, folds, [Draw(windows, project.seed)], survey.deposits, bands=bands
    )
    if network:
        options = Training(epochs=EPOCHS, least_steps=20, learning_rate=1e-3)
        model = train_model(
            stack, windows, folds, options=options, bands=bands, seed=project.seed, device="cpu"
        )
        (simple,) = found.draws
        own = network_draw(model, stack, windows)
        both = Draw(
            windows, project.seed, {**own.maps, **simple.maps}, {**own.scores, **simple.scores}
        )
        found = summarise([both], found.simple, found.proof, (rows[on], cols[on]))
    return found, rows[on], cols[on]


def measure(seed: int, *, network: bool) -> pd.DataFrame:
    """Return a row a model: the map AUC and its interval, and two other ways to count."""
    with tempfile.TemporaryDirectory() as folder:
        found, rows, cols = judge(random_project(seed, Path(folder)), network=network)
    folds = found.simple.folds
    valid = found.simple.lattice.valid
    raster = folds.raster()
    clusters = folds.clusters(rows, cols)
    table = found.table[
        ["model", "map_auc", "map_auc_low", "map_auc_high", "deposits", "clusters"]
    ].copy()
    table.insert(0, "seed", seed)
    table["largest_cluster"] = np.bincount(clusters).max()
    table["folds"] = folds.count
    table["block_cells"] = folds.block
    for number, name in zip(table.index, table["model"], strict=True):
        low, high = plain_bootstrap(found.aucs[name], clusters)
        table.loc[number, ["bootstrap_low", "bootstrap_high"]] = low, high
        own = []
        for fold in range(folds.count):
            tested = raster[rows, cols] == fold
            if tested.any():
                ground = valid & (raster == fold)
                own.append(
                    place_deposits(
                        found.draws[0].maps[name], ground, rows[tested], cols[tested]
                    ).auc
                )
        table.loc[number, "own_fold_auc"] = np.concatenate(own).mean()
    return table


def plain_bootstrap(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the 2.5 and 97.5 % points of the mean over draws of clusters, as geomfaf had it
    before.
    """
    _, group = np.unique(clusters, return_inverse=True)
    count = group.max() + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)[
        :, group
    ]
    return np.quantile(drawn @ values / drawn.sum(axis=1), LEVELS)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a model and one for all: mean AUC with its standard error, shares of the
    intervals.
    """
    parts = [*table.groupby("model", sort=False), ("all", table)]
    rows = []
    for name, part in parts:
        auc = part["map_auc"]
        low = part["map_auc_low"]
        high = part["map_auc_high"]
        missed = (part["bootstrap_low"] > 0.5) | (part["bootstrap_high"] < 0.5)
        # All models of a survey share its deposits: surveys are the witnesses.
        error = part.groupby("seed")["map_auc"].mean().std() / np.sqrt(part["seed"].nunique())
        rows.append({
            "model": name, "surveys": part["seed"].nunique(), "mean map AUC": f"{auc.mean():.3f} +- {error:.3f}",
            "in its own fold": f"{part['own_fold_auc'].mean():.3f}", "above 0.5": f"{100 * (low > 0.5).mean():.1f} %",
            "containing": f"{100 * ((low <= 0.5) & (high >= 0.5)).mean():.1f} %",
            "below": f"{100 * (high < 0.5).mean():.1f} %", "mean width": f"{(high - low).mean():.2f}",
            "missed by a plain bootstrap": f"{100 * missed.mean():.1f} %",
        })  # fmt: skip
    return pd.DataFrame(rows)


def write(table: pd.DataFrame, refused: int) -> None:
    """Write docs/benchmarks/random_deposits.md, and the same into docs/protocol.md."""
    rows = summary(table)
    lines = [" | ".join(rows.columns), " | ".join("---" for _ in rows.columns)]
    lines += [" | ".join(map(str, row)) for row in rows.itertuples(index=False)]
    surveys = table.drop_duplicates("seed")
    seeds = len(surveys)
    networks = int((table["model"] == NETWORK).sum())
    clusters = surveys["clusters"]
    text = "\n".join(f"| {line} |" for line in lines)
    text += (
        f"\n\n{surveys['deposits'].max():.0f} deposits in {clusters.min():.0f} to"
        f" {clusters.max():.0f} clusters (median {clusters.median():.0f}). +- is the standard error"
        f" over surveys. {refused} more surveys could not be cut into folds. `python"
        f" benchmarks/random_deposits.py --seeds {seeds + refused} --network {networks}`.\n"
    )
    (OUT / "random_deposits.md").write_text(text, encoding="utf-8")
    page = OUT.parent / "protocol.md"
    marks = re.compile(r"(<!-- random_deposits -->\n).*?(<!-- /random_deposits -->)", re.DOTALL)
    page.write_text(
        marks.sub(lambda m: f"{m[1]}{text}{m[2]}", page.read_text(encoding="utf-8")),
        encoding="utf-8",
    )


def main() -> None:
    """Measure the surveys that are not there yet, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument(
        "--network", type=int, default=8, help="surveys that the network is trained on too"
    )
    chosen = parser.parse_args()
    show_progress("none")
    for name, forest in FORESTS.items():
        BASELINES[name] = partial(forest, trees=TREES)
    path = OUT / "random_deposits.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame({"seed": []})
    refused = 0
    for seed in range(chosen.seeds):
        if (table["seed"] == seed).any():
            continue
        try:
            table = pd.concat(
                [table, measure(seed, network=seed < chosen.network)], ignore_index=True
            )
        except DataError as error:
            print(f"survey {seed}: {error}", flush=True)
            refused += 1
            continue
        table.to_csv(path, index=False, float_format="%.5g")
        print(f"survey {seed}", flush=True)
    write(table, refused)


if __name__ == "__main__":
    main()
