"""Projects that several test files run."""

from pathlib import Path

import geopandas as gpd
import numpy as np
from builders import small_case

from geomfaf.deliver.layers import write_layers
from geomfaf.run.project import load_project
from geomfaf.run.template import init_project
from geomfaf.synthetic import write_survey

RUN_FOLDER = """check.csv curves.csv curves.png evaluation.csv
evaluation.json run.json scores.png scores.tif screen.csv stack.png stack.tif
attention.csv report.html summary.md targets.csv targets.gpkg windows.gpkg model/model.json model/weights.safetensors""".split()
"""What a finished run leaves, among others."""


def prepare(folder, survey, cell=100, **settings):
    """Write a survey and the project file that `geomfaf init` makes of it, with coarse cells to be
    quick.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = survey
    if not isinstance(survey, Path):
        source = folder / "survey.gpkg"
        write_survey(survey, source)
    toml = folder / "geomfaf.toml"
    init_project([source], toml)
    lines = [
        f"cell = {cell}" if line.startswith("# cell = ") else line
        for line in toml.read_text().splitlines()
    ]
    quick = {"evaluate__draws": 2, "evaluate__network_draws": 1, "evaluate__shifts": 19}
    quick["train__least_steps"] = 15
    quick["evaluate__baselines"] = '["distance to deposit", "logistic regression", "extra trees"]'
    for key, value in {**quick, **settings}.items():
        table, name = key.split("__")
        lines.insert(lines.index(f"[{table}]") + 1, f"{name} = {value}")
    toml.write_text("\n".join(lines))
    return load_project(toml)


TINY = {
    "grid.cell": 200,
    "check.min_sites": 20,
    "windows.size": 8,
    "folds.count": 2,
    "folds.block": 20,
    "train.least_steps": 2,
    "train.device": '"cpu"',
    "evaluate.draws": 2,
    "evaluate.network_draws": 1,
    "evaluate.shifts": 0,
    "evaluate.baselines": '["extra trees"]',
    "evaluate.optimism": "[]",
}
"""Settings of a run of seconds."""


def tiny_words(toml, out):
    """Return the words of a `geomfaf run` of seconds."""
    words = ["run", str(toml), "--overwrite", "--out", str(out)]
    for name, value in TINY.items():
        words += ["--set", f"{name}={value}"]
    return words


def tiny_project(folder, elements=("Au_ppb", "Cu_ppm")):
    """Write a survey of sixty samples and its project file; return the file."""
    case = small_case()
    rng = np.random.default_rng(0)
    west, south, east, north = case.grid.bounds
    xy = np.column_stack([rng.uniform(west, east, 60), rng.uniform(south, north, 60)])
    values = {name: rng.lognormal(size=60) for name in elements}
    samples = gpd.GeoDataFrame(values, geometry=gpd.points_from_xy(*xy.T), crs=case.grid.crs)
    folder.mkdir(parents=True, exist_ok=True)
    layers = {"samples": samples, "deposits": case.deposits}
    write_layers(layers, folder / "survey.gpkg", overwrite=True)
    toml = folder / "geomfaf.toml"
    init_project([folder / "survey.gpkg"], toml, overwrite=True)
    return toml
